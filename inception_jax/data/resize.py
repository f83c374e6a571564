"""Resizes images with OpenCV, or with Pillow as in PyTorch's transforms."""

import cv2
import numpy as np
from PIL import Image

from inception_jax.data.geometry import Box

# Pillow's filters, which PyTorch's transforms use. They antialias a shrinking image.
PILLOW_FILTERS = {
    'smooth_bilinear': Image.Resampling.BILINEAR,
    'smooth_bicubic': Image.Resampling.BICUBIC,
}


def resize(
    image: np.ndarray, height: int, width: int, interpolation: str
) -> np.ndarray:
    """Resizes an image [any height, any width, 3] from 0 to 255 to [height, width, 3].

    `interpolation` is one of `networks.images.INTERPOLATIONS`. The result is uint8, or
    float32 for `float_bilinear`.
    """
    if interpolation in PILLOW_FILTERS:
        pillow_filter = PILLOW_FILTERS[interpolation]
        return np.asarray(Image.fromarray(image).resize((width, height), pillow_filter))
    if interpolation == 'float_bilinear':
        image = image.astype(np.float32)
    # Like tf.image.resize_bilinear of TensorFlow 1, OpenCV does not antialias a
    # shrinking image. But TensorFlow 1 has no half-pixel centres: it puts the corners
    # of pixels at whole coordinates.
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)


def crop_and_resize(
    image: np.ndarray, box: Box, size: int, interpolation: str = 'bilinear'
) -> np.ndarray:
    """Cuts a box out of an image and resizes it to [size, size, 3]; see `resize`.

    The aspect ratio of the box is not kept.
    """
    top, left, height, width = box
    part = image[top : top + height, left : left + width]
    return resize(part, size, size, interpolation)
