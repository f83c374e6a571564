"""facenet's embedding, a dense layer and a batch norm, as one dense layer."""

import numpy as np

# facenet's batch norm, inception_resnet_v1.py.
EPSILON = 1e-3


def folded(
    kernel: np.ndarray,
    *,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    gamma: np.ndarray | float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns kernel [in, out] and bias [out] that give what both do in inference."""
    scale = gamma / np.sqrt(variance.astype(np.float64) + EPSILON)
    bias = beta - mean * scale
    return (kernel * scale).astype(np.float32), bias.astype(np.float32)
