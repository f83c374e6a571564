"""Image files of every kind are decoded rightly, or refused in words."""

import io
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest
from helpers.training import environment
from PIL import Image

from inception_jax.data.decode import MOST_PIXELS, decode

ROWS, COLUMNS = np.mgrid[:120, :160]
PHOTO = np.stack(
    [COLUMNS * 255 // 159, ROWS * 255 // 119, (ROWS + COLUMNS) * 255 // 278], -1
).astype(np.uint8)
GREY = np.asarray(Image.fromarray(PHOTO).convert('L'))
NOISE = np.random.default_rng(0).integers(256, size=PHOTO.shape).astype(np.uint8)


def file(form, image=PHOTO, mode='RGB', **options):
    """Returns an image file as Pillow writes it."""
    buffer = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def animation(form):
    turned = Image.fromarray(PHOTO[::-1].copy())
    return file(form, save_all=True, append_images=[turned], duration=10)


def with_alpha(form='PNG', **options):
    alpha = np.dstack([PHOTO, COLUMNS.astype(np.uint8)])
    return file(form, alpha, 'RGBA', **options)


def pgm(greatest):
    """Returns a grey image with a greatest value of its own."""
    head = b'P5 %d %d %d\n' % (*GREY.shape[::-1], greatest)
    values = GREY.astype(int) * (greatest + 1) // 256
    return head + values.astype('u1' if greatest < 256 else '>u2').tobytes()


def float_tiff():
    return file('TIFF', GREY, 'F')


def in_16_bits(image):
    _, encoded = cv2.imencode('.png', image.astype(np.uint16) * 257)
    return encoded.tobytes()


def turned_by_exif():
    exif = Image.Exif()
    exif[0x112] = 6
    return file('JPEG', exif=exif, quality=95)


def bomb(side):
    """Returns a small PNG that says it has so many pixels a side."""
    head = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    chunks = [(b'IHDR', head), (b'IDAT', zlib.compress(bytes(100))), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*each) for each in chunks)


def chunk(name, data):
    """Returns a chunk of PNG with its checksum."""
    checksum = struct.pack('>I', zlib.crc32(name + data))
    return struct.pack('>I', len(data)) + name + data + checksum


def damaged(data, place):
    return data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]


# The file, what it shows, and by how many grey levels it may be off on average.
DECODED = {
    'JPEG': (file('JPEG', quality=95), PHOTO, 1.5),
    'progressive JPEG': (file('JPEG', quality=95, progressive=True), PHOTO, 1.5),
    'grey JPEG': (file('JPEG', mode='L', quality=95), np.dstack(3 * [GREY]), 1.0),
    'JPEG of Adobe in CMYK': (file('JPEG', mode='CMYK', quality=95), PHOTO, 2.5),
    'JPEG with bytes after its end': (file('JPEG', quality=95) + bytes(99), PHOTO, 1.5),
    'JPEG turned by EXIF': (turned_by_exif(), PHOTO, 1.5),
    'PNG': (file('PNG'), PHOTO, 0),
    'PNG of 16 bits': (in_16_bits(PHOTO[..., ::-1]), PHOTO, 0),
    'grey PNG of 16 bits': (in_16_bits(GREY), np.dstack(3 * [GREY]), 0),
    'PNG with a palette': (file('PNG', mode='P'), None, 0),
    'PNG with transparency': (with_alpha(), PHOTO, 0),
    'PNG of one bit': (file('PNG', mode='1'), None, 0),
    'animated PNG': (animation('PNG'), PHOTO, 0),
    'animated GIF': (animation('GIF'), None, 0),
    'animated WebP': (animation('WEBP'), PHOTO, 4.0),
    'BMP': (file('BMP'), PHOTO, 0),
    'PPM': (file('PPM'), PHOTO, 0),
    'PGM of 0 to 15': (pgm(15), np.dstack(3 * [GREY // 16 * 17]), 0),
    'PGM of 0 to 1023': (pgm(1023), np.dstack(3 * [GREY]), 1.0),
    'TIFF with transparency': (with_alpha('TIFF'), PHOTO, 0),
    'AVIF': (file('AVIF', quality=95), PHOTO, 1.5),
    'AVIF with transparency': (with_alpha('AVIF'), PHOTO, 4.0),
    'WebP with transparency': (with_alpha('WEBP', lossless=True, exact=True), PHOTO, 0),
    'JPEG 2000 with transparency': (with_alpha('JPEG2000'), PHOTO, 0),
    'GIF without its trailer': (
        file('GIF', mode='L')[:-1],
        np.dstack(3 * [GREY]),
        0,
    ),
    'JPEG of an unknown revision of JFIF': (
        file('JPEG', quality=95).replace(b'JFIF\0\1', b'JFIF\0\0'),
        PHOTO,
        1.5,
    ),
    'one pixel': (file('PNG', PHOTO[:1, :1]), PHOTO[:1, :1], 0),
    'one pixel of JPEG': (file('JPEG', PHOTO[:1, :1]), PHOTO[:1, :1], 3.0),
}

REFUSED = {
    'nothing': (b'', '0 bytes that are not an image'),
    'text': (b'<html>404</html>', '16 bytes that are not an image'),
    'a JPEG cut short': (
        file('JPEG', NOISE)[:9000],
        'JPEG, 9,000 bytes, cut short or damaged',
    ),
    'a JPEG cut short in its head': (file('JPEG')[:100], '100 bytes'),
    'a JPEG cut short in the name of its format': (file('JPEG')[:11], 'cut short'),
    'a JPEG without its end': (file('JPEG')[:-2], 'cut short'),
    'half a JPEG with its end': (
        file('JPEG', NOISE)[:9000] + b'\xff\xd9',
        'damaged .Corrupt JPEG data: premature end of data segment',
    ),
    'a JPEG within a JPEG': (
        file('JPEG', NOISE)[:9000] + file('JPEG', NOISE),
        'damaged .Invalid JPEG file structure: two SOI markers',
    ),
    'a TIFF of floats': (float_tiff(), 'TIFF pixels in mode F of Pillow; expected'),
    'EPS': (b'%!PS-Adobe-3.0 EPSF-3.0\n' + bytes(99), 'bytes that are not an image'),
    'a PNG cut short': (file('PNG', NOISE)[:9000], 'cut short'),
    'a PNG with a flipped bit': (damaged(file('PNG', NOISE), 9000), 'damaged'),
    'a GIF cut short': (file('GIF', NOISE, 'P')[:5000], 'cut short'),
    'a WebP cut short': (file('WEBP', NOISE)[:5000], '5,000 bytes'),
    'a BMP cut short': (file('BMP')[:9000], 'cut short'),
    '30,000 x 30,000 pixels': (bomb(30_000), '30000 x 30000 pixels; at most'),
    'a PPM of 30,000 x 30,000 pixels': (
        b'P6 30000 30000 255\n' + bytes(99),
        f'more than {MOST_PIXELS:,} pixels',
    ),
    '13,000 x 13,000 pixels': (bomb(13_000), '13000 x 13000 pixels; at most'),
    'a JPEG that says it is enormous': (
        file('JPEG').replace(
            struct.pack('>HH', 120, 160), struct.pack('>HH', 30_000, 30_000), 1
        ),
        '30000 x 30000 pixels; at most',
    ),
}

ENORMOUS = [kind for kind in REFUSED if '000' in kind or 'enormous' in kind]


@pytest.mark.parametrize('kind', DECODED)
def test_a_file_is_decoded_rightly(kind):
    data, shown, off = DECODED[kind]
    if shown is None:
        shown = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
    pixels = decode(data)
    assert (pixels.shape, pixels.dtype) == (shown.shape, np.uint8)
    assert np.abs(pixels.astype(int) - shown).mean() <= off


@pytest.mark.parametrize('kind', REFUSED)
def test_a_file_is_refused_in_words(kind):
    data, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        decode(data)


# Refuses the files that are named, and prints by how much memory grew meanwhile.
GROWTH = """
import resource, sys
from pathlib import Path
from inception_jax.data.decode import decode

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        decode(Path(path).read_bytes())
    except ValueError as error:
        assert 'pixels' in str(error)
    else:
        raise AssertionError(path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


EACH = """
import contextlib, sys
from pathlib import Path
from inception_jax.data.decode import decode

for path in sys.argv[1:]:
    with contextlib.suppress(ValueError):
        decode(Path(path).read_bytes())
"""


def test_an_enormous_image_takes_no_memory(tmp_path):
    for number, kind in enumerate(ENORMOUS):
        (tmp_path / str(number)).write_bytes(REFUSED[kind][0])
    done = subprocess.run(
        [sys.executable, '-c', GROWTH, *map(str, tmp_path.iterdir())],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) < 50_000, done.stderr  # KiB


def test_decoding_prints_nothing(tmp_path):
    png = file('PNG')
    (tmp_path / '0').write_bytes(file('PNG', mode='P', transparency=bytes(256)))
    # An animation of no frames, after the header.
    (tmp_path / '1').write_bytes(png[:33] + chunk(b'acTL', bytes(8)) + png[33:])
    # Pillow warns of so many pixels.
    (tmp_path / '2').write_bytes(b'P6 11000 11000 255\n' + bytes(99))
    done = subprocess.run(
        [sys.executable, '-W', 'error', '-c', EACH, *map(str, tmp_path.iterdir())],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_jpegs_are_those_of_opencv_to_the_bit():
    data = file('JPEG', NOISE, quality=90)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(decode(data), other)


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 1)])
def test_grey_pixels_become_three_equal_channels(shape):
    grey = np.arange(20, dtype=np.uint8).reshape(shape)
    assert np.array_equal(decode(grey), np.stack(3 * [grey.reshape(4, 5)], -1))


def test_a_file_is_decoded_in_the_order_red_green_blue():
    red = np.zeros((2, 3, 3), np.uint8)
    red[..., 0] = 200
    _, file = cv2.imencode('.png', red[..., ::-1])
    assert np.array_equal(decode(file.tobytes()), red)
