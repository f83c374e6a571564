"""Random keys and draws that no setting of JAX changes.

`JAX_DEFAULT_PRNG_IMPL`, `JAX_RANDOM_SEED_OFFSET`, `JAX_ENABLE_X64` and
`JAX_THREEFRY_PARTITIONABLE` would otherwise change the random numbers of a run.
"""

import contextlib

import jax
import numpy as np

GENERATOR = 'threefry2x32'


def random_key(seed: int) -> jax.Array:
    """Returns the key of a seed: the key of `jax.random.key` under JAX's defaults.

    >>> bool(random_key(7) == jax.random.key(7))
    True
    """
    # JAX keeps the last 32 bits of a seed.
    data = np.array([0, seed % 2**32], np.uint32)
    return jax.random.wrap_key_data(data, impl=GENERATOR)


def pinned_draws() -> contextlib.AbstractContextManager[None]:
    """Makes draws that are traced in the block the same as under JAX's defaults.

    >>> with pinned_draws():
    ...     print(jax.random.bits(random_key(0), (2,)).tolist())
    [4070199207, 4202968722]
    """
    return jax.threefry_partitionable(True)
