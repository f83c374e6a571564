"""Decoding of image files to pixels.

The file type is detected from the first bytes. An animation is decoded to its first
frame. Transparency and the EXIF orientation are ignored. 16-bit channels become 8-bit
channels.
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

    `image` holds the bytes of an image file, or pixels as uint8 [height, width],
    [height, width, 1] or [height, width, 3].

    Raises:
      ValueError: the file is not an image, is truncated or damaged, or has more than
        `MOST_PIXELS`; or the pixels have another type or shape.
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


def _decode_file(file: bytes) -> np.ndarray:
    height, width = _size(file)
    if height * width > MOST_PIXELS:
        raise ValueError(
            f'{height} x {width} pixels; at most {MOST_PIXELS:,} are decoded'
        )
    if file.startswith(JPEG):
        # simplejpeg returns the same pixels faster, but is strict. OpenCV decodes more
        # variants of JPEG and ignores bytes after the end.
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg(file, 'RGB')
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), flags)
    if pixels is None:
        raise ValueError(f'an image file of {len(file)} bytes, cut short or damaged')
    return pixels


def _size(file: bytes) -> tuple[int, int]:
    """Returns height and width from the header of an image file."""
    if file.startswith(JPEG):
        with contextlib.suppress(ValueError):
            return simplejpeg.decode_jpeg_header(file)[:2]
    try:
        with Image.open(io.BytesIO(file)) as header:
            return header.height, header.width
    except Image.DecompressionBombError as error:
        raise ValueError(f'more than {MOST_PIXELS:,} pixels') from error
    except Exception as error:
        raise ValueError(f'{len(file)} bytes that are not an image') from error
