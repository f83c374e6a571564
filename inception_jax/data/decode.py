"""Decoding of image files to pixels.

libjpeg-turbo decodes JPEG, OpenCV decodes PNG, and Pillow decodes all other formats.

The format is detected from the first bytes. An animation is decoded to its first frame.
Transparency and the EXIF orientation are ignored. The orientation tag of TIFF is
applied. 16-bit channels become 8-bit channels.
"""

import contextlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import first_line

MOST_PIXELS = 2**27  # 384 MiB of RGB.
JPEG = b'\xff\xd8\xff'
PNG = b'\x89PNG\r\n\x1a\n'
PIXEL_CHUNKS = {b'IHDR', b'PLTE', b'IDAT', b'IEND'}
# Pillow's readers for files that are not JPEG. No other reader of Pillow is for photos,
# and some of them start programs.
FORMATS = ('PNG', 'GIF', 'WEBP', 'BMP', 'PPM', 'TIFF', 'AVIF', 'JPEG2000')
# The file extensions of JPEG and of these formats.
EXTENSIONS = (
    *('.jpg', '.jpeg', '.jpe', '.jfif', '.mpo', '.png', '.apng', '.gif', '.webp'),
    *('.bmp', '.dib', '.ppm', '.pgm', '.pbm', '.pnm', '.tif', '.tiff', '.avif'),
    *('.jp2', '.j2k', '.j2c', '.jpc', '.jpf', '.jpx'),
)
# Pillow's modes of at most 8 bits a channel. Pillow converts them to RGB.
GREY_MODES = ('1', 'L', 'LA', 'La', 'P', 'PA')
COLOUR_MODES = ('RGB', 'RGBA', 'RGBa', 'RGBX', 'CMYK', 'YCbCr')
# Two tags of TIFF, and the photometric value with which 0 is black.
TIFF_BITS, TIFF_PHOTOMETRIC, BLACK_IS_ZERO = 258, 262, 1

# Pillow's warnings do not name the file. The filter applies to the whole process,
# because Python has no filters for a single thread.
warnings.filterwarnings('ignore', module=r'PIL\.')


def decode(image: bytes | np.ndarray) -> np.ndarray:
    """Returns the pixels as uint8 [height, width, 3], RGB.

    `image` holds the bytes of an image file, or pixels as uint8 [height, width],
    [height, width, 1] or [height, width, 3].

    Raises:
      ValueError: the file is not an image, is truncated or damaged, has channels of 32
        bits or floats, or has more than `MOST_PIXELS`; or the pixels have another type
        or shape.
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
    if file.startswith(JPEG):
        return _decode_jpeg(file)
    return _decode_png(file) if file.startswith(PNG) else _decode_other(file)


def open_header(file: bytes) -> Image.Image:
    """Opens an image file with Pillow, which reads its header only.

    Raises:
      ValueError: the file is not an image, or has more than `MOST_PIXELS`.
    """
    try:
        picture = Image.open(io.BytesIO(file), formats=('JPEG', *FORMATS))
    except Image.DecompressionBombError:
        raise ValueError(f'more than {MOST_PIXELS:,} pixels') from None
    except UnidentifiedImageError:
        raise ValueError(
            f'{counted(len(file), "byte")} that are not an image'
        ) from None
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(file, 'image', error) from None
    _check_size(picture.height, picture.width)
    return picture


def _decode_jpeg(file: bytes) -> np.ndarray:
    """Decodes a JPEG; raises ValueError for all damage that libjpeg reports."""
    file = _with_known_revision(file)
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(file)
    except ValueError as error:
        return _decode_subsampled_cmyk(file, error)
    _check_size(height, width)
    with _report_damage(file, 'JPEG'):
        pixels = simplejpeg.decode_jpeg(file, 'RGB')
        # Pillow's formula turns CMYK into RGB.
        return _to_rgb(open_header(file)) if 'K' in colours else pixels


def _with_known_revision(file: bytes) -> bytes:
    """Sets the major revision of JFIF to 1, because libjpeg warns of any other."""
    if file[6:11] == b'JFIF\0' and file[11:12] not in (b'', b'\1'):
        return file[:11] + b'\1' + file[12:]
    return file


def _decode_subsampled_cmyk(file: bytes, error: ValueError) -> np.ndarray:
    """Decodes CMYK with subsampled channels, as Pillow writes it, or raises the error.

    The interface of libjpeg-turbo rejects all rare kinds of subsampling. Pillow decodes
    them but ignores damaged data, so only CMYK is decoded in this way.
    """
    picture = open_header(file)
    if picture.mode != 'CMYK':
        raise _damaged(file, 'JPEG', error) from None
    with _report_damage(file, 'JPEG'):
        return _to_rgb(picture)


def _decode_png(file: bytes) -> np.ndarray:
    """Decodes a PNG with OpenCV, which returns the pixels of Pillow in less time."""
    with _report_damage(file, 'PNG'):
        plain = b''.join((PNG, *_pixel_chunks(file)))
        width, height = struct.unpack('>II', plain[16:24])
    _check_size(height, width)
    with _report_damage(file, 'PNG'):
        pixels = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is None:
            raise ValueError('damaged pixel data')
    return pixels


def _pixel_chunks(file: bytes) -> Iterator[bytes]:
    """Yields the chunks of a PNG that hold its pixels, and checks all checksums.

    The other chunks hold transparency, further frames, and metadata that libpng warns
    about.
    """
    place, name = len(PNG), b''
    while name != b'IEND':
        length = int.from_bytes(file[place : place + 4])
        name, end = file[place + 4 : place + 8], place + 12 + length
        checksum = zlib.crc32(file[place + 4 : end - 4])
        if file[end - 4 : end] != checksum.to_bytes(4):
            raise ValueError(f'wrong checksum at byte {end - 4}')
        if name in PIXEL_CHUNKS:
            yield file[place:end]
        place = end


def _decode_other(file: bytes) -> np.ndarray:
    with open_header(file) as picture:
        _check_depth(picture)
        with _report_damage(file, picture.format):
            return _to_rgb(picture)


def _to_rgb(picture: Image.Image) -> np.ndarray:
    picture.load()
    if picture.mode.startswith('I'):
        grey = (np.asarray(picture) >> 8).astype(np.uint8)
        return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    return np.asarray(picture if picture.mode == 'RGB' else picture.convert('RGB'))


def _check_size(height: int, width: int) -> None:
    if height * width > MOST_PIXELS:
        raise ValueError(
            f'{height} x {width} pixels; at most {MOST_PIXELS:,} are decoded'
        )


def _check_depth(picture: Image.Image) -> None:
    """Raises ValueError unless the channels have 8 bits, or grey has 16 bits."""
    mode = picture.mode
    # Pillow's PPM reader scales a range of more than 8 bits to 16 bits, in mode I.
    if mode in GREY_MODES + COLOUR_MODES or (mode, picture.format) == ('I', 'PPM'):
        return
    tags = picture.tag_v2 if picture.format == 'TIFF' else {}
    bits, photometric = tags.get(TIFF_BITS, (16,)), tags.get(TIFF_PHOTOMETRIC, 1)
    if mode.startswith('I;16') and bits == (16,) and photometric == BLACK_IS_ZERO:
        return
    raise ValueError(
        f'{picture.format} pixels in mode {mode} of Pillow; expected 8-bit channels, '
        'or 16-bit grey in which 0 is black'
    )


@contextlib.contextmanager
def _report_damage(file: bytes, kind: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(file, kind, error) from None


def _damaged(file: bytes, kind: str, error: Exception) -> ValueError:
    return ValueError(
        f'{kind}, {counted(len(file), "byte")}, cut short or damaged '
        f'({first_line(error)})'
    )
