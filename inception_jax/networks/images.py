"""The images that a network expects: size, crop, interpolation and pixel range."""

import dataclasses
import math

LARGEST_SIZE = 16_384

# How evaluation resizes an image. `bilinear` interpolates between the four nearest
# pixels at any size, as in the authors' code, and rounds to whole grey levels, as in
# training. `float_bilinear` does not round, as TensorFlow and Keras. The other two
# average over more pixels where they shrink an image, as PyTorch's transforms do.
INTERPOLATIONS = ('bilinear', 'float_bilinear', 'smooth_bilinear', 'smooth_bicubic')


@dataclasses.dataclass(frozen=True)
class Images:
    """The images that a network expects: the preprocessing of a weight file.

    The fields have the names of the fields of `Network` and of a config's `network`
    section.

    Attributes:
      input_size: the side of the square input, in pixels.
      crop_fraction: the central share of each side that evaluation keeps, above 0 and
        up to 1.
      square_crop: whether evaluation crops a square whose side is `crop_fraction` of
        the image's shorter side.
      interpolation: how evaluation resizes an image: bilinear, float_bilinear,
        smooth_bilinear or smooth_bicubic.
      pixel_range: the two values to which the pixel values 0 and 255 are mapped.

    Raises:
      ValueError: a field is out of its range.

    >>> Images(input_size=160).crop_fraction
    0.875
    """

    input_size: int = 299
    crop_fraction: float = 0.875
    square_crop: bool = False
    interpolation: str = 'bilinear'
    pixel_range: tuple[float, float] = (-1.0, 1.0)

    def __post_init__(self):
        size = self.input_size
        if not isinstance(size, int) or not 0 < size <= LARGEST_SIZE:
            raise ValueError(
                f'input_size is {size!r}; expected a whole number of pixels above 0 '
                f'and up to {LARGEST_SIZE:,}, e.g. 299'
            )
        check_crop_fraction(self.crop_fraction)
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'interpolation is {self.interpolation!r}; expected one of '
                f'{", ".join(INTERPOLATIONS)}'
            )
        if not isinstance(self.pixel_range, tuple) or len(self.pixel_range) != 2:
            raise ValueError(
                f'pixel_range is {self.pixel_range!r}; expected the pair (low, high), '
                'e.g. (-1.0, 1.0)'
            )
        low, high = self.pixel_range
        if not -math.inf < low < high < math.inf:
            raise ValueError(
                f'pixel_range is {self.pixel_range!r}; expected two finite numbers, '
                'the smaller one first, e.g. (-1.0, 1.0)'
            )


def check_crop_fraction(crop_fraction: float) -> None:
    """Raises ValueError unless the fraction is above 0 and up to 1."""
    if not 0 < crop_fraction <= 1:
        raise ValueError(
            f'crop_fraction is {crop_fraction}; expected the share of each side that '
            'evaluation keeps, above 0 and up to 1, e.g. 0.875'
        )


# The names of the fields, in the order of weight files.
IMAGE_FIELDS = tuple(field.name for field in dataclasses.fields(Images))
# The fields that only evaluation uses, with the values that keep the whole image. No
# compiled step depends on them.
WHOLE_IMAGE = {
    'crop_fraction': 1.0,
    'square_crop': False,
    'interpolation': 'bilinear',
}
CROP_FIELDS = tuple(WHOLE_IMAGE)
