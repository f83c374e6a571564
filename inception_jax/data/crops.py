"""The 1, 10, 12 and 144 crops of an evaluation, as boxes of whole pixels.

144 crops are GoogLeNet's (arXiv:1409.4842, section 7): four sizes of the image, three
squares of each size, six boxes of each square (four corners, the centre, and the whole
square resized), and all of them mirrored. 12 crops (Table 3) take the middle square of
the smallest size; the paper does not say which square, and GoogLeNet has no 12 crops.
10 crops are the corners and the centre of that square (Krizhevsky et al., 2012).

The compiled step makes the mirror images, so each view stands for two crops.
"""

from typing import Any, NamedTuple

from inception_jax.data.geometry import Box, central_crop
from inception_jax.networks.images import CROP_FIELDS
from inception_jax.networks.network import Network

# GoogLeNet's shorter sides for crops of 224 pixels. For other input sizes they are in
# proportion: 342, 384, 427 and 470 for 299.
SHORTER_SIDES = (256, 288, 320, 352)
CROP = 224

PROTOCOLS = (1, 10, 12, 144)


class View(NamedTuple):
    """A box in the resized image; the box is resized to the network's input size.

    `height` and `width` are the sides of the whole image after resizing, in pixels.
    """

    height: int
    width: int
    box: Box


def number_of_views(crops: int) -> int:
    """Returns the number of crops without mirror images: 1, 5, 6 or 72."""
    return crops // 2 if mirrored(crops) else crops


def mirrored(crops: int) -> bool:
    """Returns whether half of the crops are mirror images: in all protocols but 1."""
    return crops > 1


def view_options(network: Network, crops: int) -> dict[str, Any]:
    """Returns the arguments of `evaluation_batches` that a network determines."""
    return {
        'size': network.input_size,
        'crops': crops,
        **{name: getattr(network, name) for name in CROP_FIELDS},
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
    """Returns the views of an image for a network of input `size`.

    A single crop is the central `crop_fraction` of each side of the original image.
    With `square_crop` the image is first resized so that `size` is `crop_fraction` of
    its shorter side, and the crop is the central square, as in torchvision and timm.
    The other protocols ignore `crop_fraction` and `square_crop`.

    Raises:
      ValueError: `crops` is not 1, 10, 12 or 144.

    >>> views(100, 200, size=75, crops=1, crop_fraction=0.875)
    (View(height=100, width=200, box=Box(top=6, left=12, height=88, width=176)),)
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
    """Raises ValueError unless `crops` is 1, 10, 12 or 144."""
    if crops not in PROTOCOLS:
        raise ValueError(f'{crops} crops; expected {", ".join(map(str, PROTOCOLS))}')


def _resized(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Returns height and width of an image resized to the shorter side `shorter`."""
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
    """Returns a square of the shorter side; 'left' is the top of an upright image."""
    side = min(height, width)
    room = max(height, width) - side
    offset = {'left': 0, 'centre': room // 2, 'right': room}[place]
    top, left = (0, offset) if height <= width else (offset, 0)
    return Box(top, left, side, side)


def _boxes(square: Box, size: int, *, whole: bool) -> list[Box]:
    """Returns the corners and the centre of a square, and the square if `whole`."""
    room = square.height - size
    corners = [(0, 0), (0, room), (room, 0), (room, room), (room // 2, room // 2)]
    boxes = [
        Box(square.top + top, square.left + left, size, size) for top, left in corners
    ]
    return [*boxes, square] if whole else boxes
