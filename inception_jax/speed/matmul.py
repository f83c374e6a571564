"""The rate of a large product of matrices: what the machine at hand can reach."""

import functools
import time

import jax
import jax.numpy as jnp

# Rows and columns. A processor takes 0.1 s for 17 GFLOP, an accelerator a millisecond
# for 1.1 TFLOP.
SIZE = {'cpu': 2048}
SIZE_OF_ACCELERATORS = 8192


def matmul_rate(dtype: str, seconds: float) -> float:
    """Returns FLOP per second of one device, in JAX's default precision."""
    size = SIZE.get(jax.default_backend(), SIZE_OF_ACCELERATORS)
    x, product = _product(size, dtype)
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        for _ in range(4):
            result = product(x)
            done += 1
        result.block_until_ready()
    return 2 * size**3 * done / (time.perf_counter() - begun)


@functools.cache
def _product(size: int, dtype: str):
    x = jnp.full((size, size), 1 / size, jnp.dtype(dtype))
    product = jax.jit(lambda x: x @ x)
    product(x).block_until_ready()
    return x, product
