"""facenet's embedding: its dense layer and batch norm, folded into one dense layer."""

from collections.abc import Mapping, Sequence

import numpy as np

from inception_jax.weights.translation import FLOATS, ArrayEntry, Arrays

# The epsilon of facenet's batch norm (inception_resnet_v1.py).
EPSILON = 1e-3


def fold_embedding(
    arrays: Arrays, entries: Sequence[ArrayEntry], norm: Mapping[str, str], axis: int
) -> Arrays:
    """Returns arrays whose last layer has the kernel and bias of both layers.

    In inference both layers are linear. If an array is missing, or has another shape or
    type, the arrays are returned unchanged: the error message then names the array.

    Args:
      entries: the entries of the network, of which the last two are our last layer.
      norm: the names of the batch norm's `beta`, `mean`, `variance` and, if it has one,
        `gamma`.
      axis: the axis of the kernel that has the features of the embedding, 0 or 1.
    """
    *_, kernel, bias = entries
    names = {**norm, 'kernel': kernel.name}
    shapes = dict.fromkeys(norm, (kernel.shape[axis],)) | {'kernel': kernel.shape}
    if any(
        name not in arrays
        or tuple(arrays[name].shape) != shapes[part]
        or str(arrays[name].dtype) not in FLOATS
        for part, name in names.items()
    ):
        return arrays
    parts = {part: np.asarray(arrays[name], float) for part, name in names.items()}
    # Values that are not finite are refused later, with all other arrays.
    with np.errstate(all='ignore'):
        scale = parts.get('gamma', 1.0) / np.sqrt(parts['variance'] + EPSILON)
        folded = {
            kernel.name: parts['kernel'] * np.expand_dims(scale, 1 - axis),
            bias.name: parts['beta'] - parts['mean'] * scale,
        }
        folded = {name: array.astype(np.float32) for name, array in folded.items()}
    others = {name: x for name, x in arrays.items() if name not in norm.values()}
    return others | folded
