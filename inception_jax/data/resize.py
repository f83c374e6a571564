"""Images in other sizes, by OpenCV or as PyTorch's transforms have them."""

import cv2
import numpy as np
from PIL import Image

from inception_jax.data.geometry import Box

# Pillow's, which PyTorch's transforms use.
SMOOTH = {
    'smooth_bilinear': Image.Resampling.BILINEAR,
    'smooth_bicubic': Image.Resampling.BICUBIC,
}


def resize(
    image: np.ndarray, height: int, width: int, interpolation: str
) -> np.ndarray:
    """Returns an image uint8 [height, width, 3] of another size.

    `interpolation` is one of `networks.network.INTERPOLATIONS`.
    """
    if interpolation in SMOOTH:
        resized = Image.fromarray(image).resize((width, height), SMOOTH[interpolation])
        return np.asarray(resized)
    # Not smoothed when it shrinks, as in TensorFlow 1, whose pixels however have their
    # corners at whole coordinates (no half-pixel centres).
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def crop_and_resize(
    image: np.ndarray, box: Box, size: int, interpolation: str = 'bilinear'
) -> np.ndarray:
    """Returns the box of an image as [size, size, 3], its aspect not kept."""
    top, left, height, width = box
    part = image[top : top + height, left : left + width]
    return resize(part, size, size, interpolation)
