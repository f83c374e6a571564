"""Random weights and images that depend on names only: equal in every framework."""

import math
import zlib

import numpy as np


def weights(name: str, shape: tuple[int, ...], fan_in: int | None) -> np.ndarray:
    """Returns float32 values for an array of a layout.

    Kernels, which have a `fan_in`, keep the scale of what goes through them. Variances,
    by the end of their names, are near 1, gammas too, shifts and means near 0.
    """
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    normal = generator.standard_normal(shape)
    if fan_in:
        normal *= math.sqrt(1.8 / fan_in)
    elif name.endswith(('var', 'variance')):
        normal = np.exp(0.2 * normal)
    elif name.endswith(('gamma', 'bn.weight')):
        normal = 1 + 0.1 * normal
    else:
        normal *= 0.1
    return normal.astype(np.float32)


def images(size: int) -> np.ndarray:
    """Returns two images [2, size, size, 3] in -1 to 1, smooth and with edges."""
    rows, columns = np.mgrid[:size, :size] / size
    generator = np.random.default_rng(size)
    noise = generator.uniform(-0.3, 0.3, (2, size, size, 3))
    waves = np.stack([np.sin(9 * rows), np.cos(7 * columns), (rows > columns) - 0.5])
    pixels = np.stack([waves, waves[::-1]]).transpose(0, 2, 3, 1) * 0.7 + noise
    return np.clip(pixels, -1, 1).astype(np.float32)


def sample(grid: np.ndarray, most: int = 512) -> np.ndarray:
    """Returns some values of a grid [batch, ...], the largest absolute one first."""
    flat = np.asarray(grid, np.float32).reshape(-1)
    largest = flat[np.abs(flat).argmax()]
    return np.concatenate([[largest], flat[:: max(1, flat.size // most)][:most]])
