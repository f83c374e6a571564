"""Checksums (CRC-32) of a training state and of JSON."""

import json
import zlib
from collections.abc import Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils

from inception_jax.steps.state import TrainState


def structure_checksum(state: TrainState) -> int:
    """Returns a checksum over the names, shapes and types of a state's arrays."""
    named = jax.tree_util.tree_flatten_with_path(state)[0]
    lines = [f'{jax.tree_util.keystr(n)} {x.shape} {x.dtype}' for n, x in named]
    return zlib.crc32('\n'.join(lines).encode())


def content_checksums(state: TrainState) -> dict[str, int]:
    """Returns a checksum over the bits of each field; devices make no difference."""
    checksums = {}
    for name, field in vars(state).items():
        checksums[name] = 0
        for x in jax.tree.leaves(field):
            checksums[name] = zlib.crc32(whole_array(x), checksums[name])
    return checksums


def whole_array(x: jax.Array) -> np.ndarray:
    """Returns all values of an array on the host; of a key, its raw data."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    if isinstance(x, jax.Array) and not x.is_fully_replicated:
        x = multihost_utils.process_allgather(x, tiled=True)
    return np.ascontiguousarray(x)


def json_checksum(metadata: Mapping) -> int:
    """Returns a checksum over the metadata of a checkpoint.

    It leaves out the entry `sums.about`, where the checksum itself is stored.
    """
    sums = {n: x for n, x in metadata['sums'].items() if n != 'about'}
    return zlib.crc32(json.dumps({**metadata, 'sums': sums}, sort_keys=True).encode())
