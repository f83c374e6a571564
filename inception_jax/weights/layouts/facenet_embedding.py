"""facenet's embedding, a dense layer and a batch norm, as one dense layer."""

from collections.abc import Mapping

import numpy as np

from inception_jax.weights.variables import FLOATS, Arrays

# facenet's batch norm, inception_resnet_v1.py.
EPSILON = 1e-3


def folded(
    arrays: Arrays, names: Mapping[str, str], shape: tuple[int, int], axis: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns a kernel of this shape and a bias that give what both do in inference.

    Returns None where not all arrays are there in their shapes and types.

    Args:
      names: those of `kernel`, `beta`, `mean`, `variance` and, if there is one,
        `gamma`.
      axis: the kernel's axis of the embedding, 0 or 1.
    """
    shapes = dict.fromkeys(names, (shape[axis],)) | {'kernel': shape}
    if any(
        name not in arrays
        or tuple(arrays[name].shape) != shapes[part]
        or str(arrays[name].dtype) not in FLOATS
        for part, name in names.items()
    ):
        return None
    found = {part: np.asarray(arrays[name], float) for part, name in names.items()}
    # What is not finite is refused where all arrays are.
    with np.errstate(all='ignore'):
        scale = found.get('gamma', 1.0) / np.sqrt(found['variance'] + EPSILON)
        kernel = found['kernel'] * np.expand_dims(scale, 1 - axis)
        bias = found['beta'] - found['mean'] * scale
        return kernel.astype(np.float32), bias.astype(np.float32)
