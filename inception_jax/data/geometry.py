"""Boxes of pixels: random crops for training and the central crop of evaluation."""

import math
from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle of whole pixels: its top left corner and the lengths of its sides."""

    top: int
    left: int
    height: int
    width: int


def random_area_crop(
    generator: np.random.Generator,
    height: int,
    width: int,
    *,
    area: tuple[float, float],
    aspect: tuple[float, float],
    attempts: int = 100,
) -> Box:
    """Draws a training crop as tf.image.sample_distorted_bounding_box does.

    `area` is the range of the crop's share of the image, in (0, 1]. `aspect` is the
    range of width over height. The aspect is uniform in its range. The height is
    uniform between the heights of the smallest and of the largest area. If no attempt
    fits into the image, the crop is the whole image.

    GoogLeNet and torchvision draw the area uniformly instead, which gives larger crops:
    for an area of 0.05 to 1 of a photo of 375x500 pixels they keep 0.43 of the image on
    average, and this function keeps 0.34. TF-Slim's inception_preprocessing.py asks for
    an area of 0.05 to 1 and for at least a tenth of the object. Without object boxes
    the object is the whole image, so that the area is 0.1 to 1.

    >>> random_area_crop(
    ...     np.random.default_rng(0), 375, 500, area=(0.1, 1), aspect=(3 / 4, 4 / 3)
    ... )
    Box(top=32, left=66, height=255, width=286)
    """
    smallest, largest = (share * height * width for share in area)
    for _ in range(attempts):
        ratio = generator.uniform(*aspect)
        shortest = round(math.sqrt(smallest / ratio))
        tallest = min(
            round(math.sqrt(largest / ratio)), height, int((width + 0.5) / ratio)
        )
        crop_height = int(
            generator.integers(min(shortest, tallest), tallest, endpoint=True)
        )
        crop_width = round(crop_height * ratio)
        if 0 < crop_width <= width and smallest <= crop_height * crop_width <= largest:
            top = int(generator.integers(height - crop_height, endpoint=True))
            left = int(generator.integers(width - crop_width, endpoint=True))
            return Box(top, left, crop_height, crop_width)
    return Box(0, 0, height, width)


def central_crop(height: int, width: int, fraction: float) -> Box:
    """Returns the central `fraction` of each side, as tf.image.central_crop does.

    Margins are rounded down, so that the crop is never smaller than the fraction.

    >>> central_crop(100, 200, 0.875)
    Box(top=6, left=12, height=88, width=176)
    """
    top, left = (int((side - side * fraction) / 2) for side in (height, width))
    return Box(top, left, height - 2 * top, width - 2 * left)


def check_range(name: str, limits: tuple[float, float], most: float = math.inf) -> None:
    """Raises ValueError unless `limits` are finite, above 0 and in order."""
    low, high = limits
    if not 0 < low <= high <= most or high == math.inf:
        raise ValueError(
            f'{name} is {low} to {high}; expected a range above 0'
            f'{f" and up to {most:g}" if most < math.inf else ""}, '
            'the smaller number first'
        )
