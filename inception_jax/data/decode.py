"""Image files to pixels: decoded rightly, or refused.

What a file is, its first bytes tell, not its name. Of an animation the first picture
counts; transparency and the orientation of EXIF are left out; 16 bits become 8.
"""

import contextlib
import io

import cv2
import numpy as np
import simplejpeg
from PIL import Image

MOST_PIXELS = 2**27  # 384 MiB of RGB.
JPEG = b'\xff\xd8\xff'


def decode(image: bytes | np.ndarray) -> np.ndarray:
    """Returns the pixels as uint8 [height, width, 3], RGB.

    Raises:
      ValueError: it is neither an image file nor pixels in uint8, the file is cut short
        or damaged, or it has more than `MOST_PIXELS`.
    """
    if isinstance(image, bytes):
        return _decode_file(image)
    if image.dtype != np.uint8 or image.shape[2:] not in ((), (1,), (3,)):
        raise ValueError(
            f'pixels of shape {image.shape} and type {image.dtype}; expected uint8 '
            '[height, width] or [height, width, 3]'
        )
    grey = image.ndim == 2 or image.shape[2] == 1
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if grey else image


def _decode_file(image: bytes) -> np.ndarray:
    height, width = _size(image)
    if height * width > MOST_PIXELS:
        raise ValueError(
            f'{height} x {width} pixels; at most {MOST_PIXELS:,} are decoded'
        )
    if image.startswith(JPEG):
        # Faster than OpenCV and the same pixels, but strict: OpenCV knows more forms
        # and forgives bytes too many.
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg(image, 'RGB')
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags)
    if pixels is None:
        raise ValueError(f'an image file of {len(image)} bytes, cut short or damaged')
    return pixels


def _size(image: bytes) -> tuple[int, int]:
    """Reads height and width of an image file from its head."""
    if image.startswith(JPEG):
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg_header(image)[:2]
    try:
        with Image.open(io.BytesIO(image)) as file:
            return file.height, file.width
    except Image.DecompressionBombError as error:
        raise ValueError(f'more than {MOST_PIXELS:,} pixels') from error
    except Exception as error:
        raise ValueError(f'{len(image)} bytes that are not an image') from error
