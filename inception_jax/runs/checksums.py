"""Check sums of a state and of JSON."""

import json
import zlib
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from inception_jax.steps.state import TrainState


def _form(state: TrainState) -> int:
    """Returns a sum over the names, shapes and types of a state's arrays."""
    named = jax.tree_util.tree_flatten_with_path(state)[0]
    spelt = [f'{jax.tree_util.keystr(n)} {x.shape} {x.dtype}' for n, x in named]
    return zlib.crc32('\n'.join(spelt).encode())


def _sums(state: TrainState) -> dict[str, int]:
    """Returns a sum over the bits of each field of a state, wherever it lies."""
    sums = {}
    for name, field in vars(state).items():
        sums[name] = 0
        for x in jax.tree.leaves(field):
            sums[name] = zlib.crc32(_bits(x), sums[name])
    return sums


def _bits(x: jax.Array) -> np.ndarray:
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if isinstance(x, jax.Array) and not x.is_fully_replicated:
        x = multihost_utils.process_allgather(x, tiled=True)
    return np.ascontiguousarray(x)


def _sum_of_json(about: Mapping) -> int:
    """Returns a sum over the content of `about`, its own sum left out."""
    sums = {n: x for n, x in about['sums'].items() if n != 'about'}
    return zlib.crc32(json.dumps({**about, 'sums': sums}, sort_keys=True).encode())
