"""Where the crops of an image lie; whole pixels, no images."""

import math
from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle of pixels: its top left corner and its sides."""

    top: int
    left: int
    height: int
    width: int


def random_area_crop(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    area: tuple[float, float],
    aspect: tuple[float, float],
    attempts: int = 100,
) -> Box:
    """Draws a training crop as TensorFlow's sample_distorted_bounding_box does.

    `area` is the range of its share of the image, `aspect` that of width over height.
    The aspect is uniform in its range, and so is the height, between those of the
    smallest and the largest area. (Under GoogLeNet's and torchvision's uniform area
    crops are larger: 0.43 of a photo of 375x500 on average instead of 0.34, for an area
    from 0.05 to 1.) The authors' trainer asks for 0.05 to 1 and for a tenth of the
    object; without object boxes that is a tenth of the image, an area from 0.1 to 1.
    Where no attempt fits into the image the crop is the whole image.
    """
    smallest, largest = (share * height * width for share in area)
    for _ in range(attempts):
        ratio = rng.uniform(*aspect)
        shortest = round(math.sqrt(smallest / ratio))
        tallest = min(
            round(math.sqrt(largest / ratio)), height, int((width + 0.5) / ratio)
        )
        tall = int(rng.integers(min(shortest, tallest), tallest, endpoint=True))
        wide = round(tall * ratio)
        if 0 < wide <= width and smallest <= tall * wide <= largest:
            top = int(rng.integers(height - tall, endpoint=True))
            left = int(rng.integers(width - wide, endpoint=True))
            return Box(top, left, tall, wide)
    return Box(0, 0, height, width)


def central_crop(height: int, width: int, fraction: float) -> Box:
    """Returns the central `fraction` of each side (TensorFlow's central_crop).

    The margins are rounded down, so that the crop is never smaller than asked for.
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


def check_fraction(crop_fraction: float) -> None:
    """Raises ValueError unless it is a share of a side."""
    if not 0 < crop_fraction <= 1:
        raise ValueError(
            f'crop_fraction is {crop_fraction}; expected the share of each side that '
            'is kept, above 0 and up to 1, e.g. 0.875'
        )
