"""The 1, 10, 12 and 144 crops of an evaluation: whole pixels, no images.

144 are those of GoogLeNet (arXiv:1409.4842, section 7): four sizes of the image, of
each three squares, of each its corners, its centre and the whole, and all mirrored. 12
(Table 3) are the middle square of the smallest size; the paper does not say which, and
GoogLeNet has no 12. 10 are the corners and the centre of that square (Krizhevsky et
al., 2012). The mirror images are the network's step to make.
"""

from typing import Any, NamedTuple

from inception_jax.data.geometry import Box, central_crop
from inception_jax.networks.network import Network

# GoogLeNet's shorter sides for crops of 224; for others in proportion: 342, 384, 427
# and 470 for 299.
SHORTER_SIDES = (256, 288, 320, 352)
CROP = 224

PROTOCOLS = (1, 10, 12, 144)


class View(NamedTuple):
    """What a network sees of an image: a box of the resized image, resized to its size.

    `height` and `width` are those of the whole image after it was resized.
    """

    height: int
    width: int
    box: Box


def number_of_views(crops: int) -> int:
    """Returns how many crops an image is cut into, mirror images apart."""
    return crops // 2 if mirrored(crops) else crops


def mirrored(crops: int) -> bool:
    """Tells whether the mirror images count as well, which are half of the crops."""
    return crops > 1


def view_options(network: Network, crops: int) -> dict[str, Any]:
    """Returns how a network sees images, as arguments of `evaluation_batches`."""
    return {
        'size': network.input_size,
        'crops': crops,
        'crop_fraction': network.crop_fraction,
        'square_crop': network.square_crop,
        'interpolation': network.interpolation,
    }


def views(
    height: int,
    width: int,
    *,
    size: int,
    crops: int,
    crop_fraction: float,
    square_crop: bool = False,
) -> tuple[View, ...]:
    """Returns what a network of input `size` sees of an image, without mirror images.

    One crop is the central `crop_fraction` of each side of the image as it is. With
    `square_crop` it is the central square of an image of which `size` is that share of
    the shorter side, as in torchvision and timm.

    Raises:
      ValueError: there is no protocol of so many crops.
    """
    check_crops(crops)
    if crops == 1 and square_crop:
        return (_central_square(height, width, size, int(size / crop_fraction)),)
    if crops == 1:
        return (View(height, width, central_crop(height, width, crop_fraction)),)
    places, sides = ('left', 'centre', 'right'), SHORTER_SIDES
    if crops < 144:
        places, sides = ('centre',), SHORTER_SIDES[:1]
    return tuple(
        View(*resized, box)
        for side in sides
        for resized in [_resized(height, width, round(side * size / CROP))]
        for place in places
        for box in _boxes(_square(*resized, place), size, whole=crops != 10)
    )


def check_crops(crops: int) -> None:
    """Raises ValueError if there is no protocol of so many crops."""
    if crops not in PROTOCOLS:
        raise ValueError(f'{crops} crops; expected {", ".join(map(str, PROTOCOLS))}')


def _resized(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Returns the sides of an image whose shorter one has so many pixels."""
    scale = shorter / min(height, width)
    return (
        (shorter, round(width * scale))
        if height <= width
        else (round(height * scale), shorter)
    )


def _central_square(height: int, width: int, size: int, shorter: int) -> View:
    """Returns the view of torchvision's Resize, which rounds down, and CenterCrop."""
    sides = [shorter * side // min(height, width) for side in (height, width)]
    top, left = (round((side - size) / 2) for side in sides)
    return View(*sides, Box(top, left, size, size))


def _square(height: int, width: int, place: str) -> Box:
    """Returns a square of the shorter side; left is the top of an upright image."""
    side = min(height, width)
    room = max(height, width) - side
    offset = {'left': 0, 'centre': room // 2, 'right': room}[place]
    top, left = (0, offset) if height <= width else (offset, 0)
    return Box(top, left, side, side)


def _boxes(square: Box, size: int, *, whole: bool) -> list[Box]:
    """Returns four corners, the centre and, if it counts, the whole of a square."""
    room = square.height - size
    corners = [(0, 0), (0, room), (room, 0), (room, room), (room // 2, room // 2)]
    boxes = [
        Box(square.top + top, square.left + left, size, size) for top, left in corners
    ]
    return [*boxes, square] if whole else boxes
