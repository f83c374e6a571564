"""Hostile image files of every format, mode and damage, with their expected outcome.

`python -m tests.hostile.images` decodes all files and prints the counts.
"""

import collections
import io
import itertools
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from inception_jax.data.decode import decode
from inception_jax.data.sources.open import open_source

SIZES = ((37, 53), (1, 1), (64, 48), (1, 90))
# The mean difference in grey levels that a lossy format may make.
LOSSY = 12
FLIPS = 24
PHOTOS = 60


class Case(NamedTuple):
    """A file; the pixels that it shows, or None; the words of its refusal, or ''.

    `off` is the mean difference from `shown` in grey levels that is accepted. A case
    with neither pixels nor words may be refused, or decoded as Pillow decodes it.
    """

    name: str
    file: bytes
    shown: np.ndarray | None = None
    off: float = 0
    refusal: str = ''


def picture(height: int, width: int) -> np.ndarray:
    """Returns smooth colours with noise, uint8 [height, width, 3]."""
    rows, columns = np.mgrid[:height, :width]
    ramp = np.stack(
        [255 * columns / width, 255 * rows / height, 128 + 0 * rows], axis=-1
    )
    noise = np.random.default_rng(0).integers(-9, 10, ramp.shape)
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


def saved(image: Image.Image, form: str, **options) -> bytes:
    """Returns an image file as Pillow writes it."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def with_alpha(image: Image.Image, mode: str) -> Image.Image:
    """Converts to `mode`; alpha falls from left to right down to 0."""
    image = image.convert(mode)
    if mode in ('RGBA', 'LA'):
        alpha = np.linspace(255, 0, image.width).astype(np.uint8)
        image.putalpha(Image.fromarray(np.tile(alpha, (image.height, 1))))
    return image


# The modes of each format, and the options with which each mode is written.
WRITTEN = {
    'JPEG': (
        ('RGB', 'L', 'CMYK'),
        [
            {'quality': quality, 'progressive': progressive, 'subsampling': sampling}
            for quality in (75, 95)
            for progressive in (False, True)
            for sampling in (0, 1, 2)
        ],
    ),
    'PNG': (
        ('RGB', 'RGBA', 'L', 'LA', 'P', '1'),
        [{}, {'compress_level': 0}, {'optimize': True}, {'dpi': (72, 72)}],
    ),
    'GIF': (('RGB', 'L', 'P', '1'), [{}, {'interlace': 0}, {'transparency': 0}]),
    'WEBP': (
        ('RGB', 'RGBA'),
        [{'lossless': True, 'exact': True}, {'quality': 90, 'exact': True}],
    ),
    'BMP': (('RGB', 'RGBA', 'L', 'P', '1'), [{}]),
    'PPM': (('RGB', 'L', '1'), [{}]),
    'TIFF': (
        ('RGB', 'RGBA', 'L', 'LA', 'P', '1', 'CMYK'),
        [{'compression': c} for c in (None, 'tiff_lzw', 'tiff_deflate', 'packbits')],
    ),
    'AVIF': (
        ('RGB', 'RGBA', 'L'),
        [
            {'quality': 95, 'speed': 10, 'subsampling': s}
            for s in ('4:4:4', '4:2:0', '4:2:2')
        ],
    ),
    'JPEG2000': (('RGB', 'RGBA', 'L', 'LA'), [{}, {'no_jp2': True}]),
}
IS_LOSSY = {'JPEG', 'AVIF'}


def whole_files() -> Iterator[Case]:
    """Yields a file of every format, mode, size and option of `WRITTEN`."""
    for form, (modes, variants) in WRITTEN.items():
        for mode, options, size in itertools.product(modes, variants, SIZES):
            image = with_alpha(Image.fromarray(picture(*size)), mode)
            shown = np.asarray(image.convert('RGB'))
            lossy = form in IS_LOSSY or 'quality' in options
            if form == 'GIF' and mode == 'RGB':
                shown = None  # Its palette has 256 of the colours.
            name = f'{form} {mode} {size} {options}'
            file = saved(image, form, **options)
            yield Case(name, file, shown, LOSSY if lossy else 0)


def chunk(name: bytes, data: bytes) -> bytes:
    """Returns a chunk of PNG with its checksum."""
    checksum = struct.pack('>I', zlib.crc32(name + data))
    return struct.pack('>I', len(data)) + name + data + checksum


def png(values: np.ndarray, bits: int, colour: int, *chunks: bytes) -> bytes:
    """Returns a PNG of rows of bytes, with more chunks before its pixels."""
    head = struct.pack('>IIBBBBB', values.shape[1], len(values), bits, colour, 0, 0, 0)
    rows = b''.join(b'\0' + row.tobytes() for row in values)
    parts = chunk(b'IHDR', head), *chunks, chunk(b'IDAT', zlib.compress(rows))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts) + chunk(b'IEND', b'')


def png_of_rows(rows: bytes) -> bytes:
    """Returns a PNG of one row of 53 pixels."""
    whole = png(picture(1, 53), 8, 2)
    data = chunk(b'IDAT', zlib.compress(rows))
    return whole[:33] + data + chunk(b'IEND', b'')


def deep_files() -> Iterator[Case]:
    """Yields files of 16 bits, of odd ranges, and of types that are refused."""
    image = picture(*SIZES[0])
    grey = image[..., 1]
    high = (grey.astype(int) * 256 + 77).astype('>u2')
    shown = np.dstack(3 * [grey])
    yield Case('PNG grey, 16 bits', png(high, 16, 0), shown)
    colour = (image.astype(int) * 256 + 77).astype('>u2')
    yield Case('PNG colour, 16 bits', png(colour, 16, 2), image)
    alpha = np.dstack([colour, high]).astype('>u2')
    yield Case('PNG colour and alpha, 16 bits', png(alpha, 16, 6), image)
    for order in ('<', '>'):
        values = high.astype(f'{order}u2')
        yield Case(f'TIFF {order}', tiff(values, order, 16, 1, 1), shown)
        for name, bits, sample, photometric, kind in (
            ('white is 0', 16, 1, 0, 'u2'),
            ('signed', 16, 2, 1, 'i2'),
            ('32 bits', 32, 1, 1, 'u4'),
            ('float', 32, 3, 1, 'f4'),
        ):
            values = high.astype(f'{order}{kind}')
            file = tiff(values, order, bits, sample, photometric)
            # Pillow does not know two of them.
            unknown = order == '>' and name in ('white is 0', '32 bits')
            refusal = 'not an image' if unknown else 'in mode'
            yield Case(f'TIFF {order} {name}', file, refusal=refusal)
    for greatest in (1, 3, 15, 100, 254, 255, 256, 1023, 4095, 65535):
        yield from netpbm(image, greatest)
    yield Case('PFM', b'Pf\n1 1\n-1.0\n' + bytes(4), refusal='in mode F')


def netpbm(image: np.ndarray, greatest: int) -> Iterator[Case]:
    """Yields PGM and PPM, binary and as text, with a greatest value of their own."""
    values = np.rint(image / 255 * greatest).astype(int)
    shown = np.rint(values / greatest * 255)
    kind = 'u1' if greatest < 256 else '>u2'
    for magic, channels in ((b'P5', slice(1, 2)), (b'P6', slice(3))):
        part = values[..., channels]
        head = b'%s\n# a comment\n%d %d\n%d\n' % (
            magic,
            image.shape[1],
            image.shape[0],
            greatest,
        )
        expected = np.broadcast_to(shown[..., channels], image.shape)
        name = f'{magic.decode()} up to {greatest}'
        yield Case(name, head + part.astype(kind).tobytes(), expected, 1)
        plain = head.replace(magic, b'P%d' % (int(magic[1:]) - 3))
        text = ' '.join(map(str, part.ravel())).encode()
        yield Case(f'{name}, text', plain + text + b'\n', expected, 1)


def tiff(values, order: str, bits: int, sample: int, photometric: int) -> bytes:
    """Returns a TIFF of one channel without compression."""
    tags = [
        (256, 3, values.shape[1]),
        (257, 3, values.shape[0]),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, values.shape[0]),
        (279, 4, values.nbytes),
        (339, 3, sample),
    ]
    head = {'<': b'II*\0', '>': b'MM\0*'}[order]
    entries = b''.join(
        struct.pack(f'{order}HHI' + {3: 'HH', 4: 'I'}[kind], tag, kind, 1, *value)
        for tag, kind, number in tags
        for value in [(number, 0) if kind == 3 else (number,)]
    )
    directory = struct.pack(f'{order}H', len(tags)) + entries + bytes(4)
    start = struct.pack(f'{order}I', 8 + values.nbytes)
    return head + start + values.tobytes() + directory


def odd_files() -> Iterator[Case]:
    """Yields files that other decoders refuse, warn of, or read differently."""
    image = Image.fromarray(picture(*SIZES[0]))
    shown = np.asarray(image)
    jpeg = saved(image, 'JPEG', quality=95)
    end = bytes(99), b'\xff' * 99, jpeg, b'<html>'
    for number, rest in enumerate(end):
        yield Case(f'JPEG and more {number}', jpeg + rest, shown, LOSSY)
    for version in (b'\0\0', b'\2\1', b'\xff\xff'):
        file = jpeg.replace(b'JFIF\0\1\1', b'JFIF\0' + version)
        yield Case(f'JFIF of revision {version}', file, shown, LOSSY)
        cut = file[: len(file) // 2] + b'\xff\xd9'
        yield Case(f'half a JFIF of revision {version}', cut, refusal='damaged')
    for form in ('MPO', 'GIF', 'PNG', 'WEBP', 'TIFF', 'AVIF'):
        other = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        options = {'lossless': True} if form == 'WEBP' else {}
        options |= {'compression': 'tiff_lzw'} if form == 'TIFF' else {}
        options |= {'quality': 95} if form in IS_LOSSY | {'MPO'} else {}
        file = saved(image, form, save_all=True, append_images=[other], **options)
        lossy = form in ('MPO', 'AVIF', 'GIF')
        yield Case(f'{form} of two frames', file, shown, LOSSY if lossy else 0)
    for form in ('JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'):
        exif = Image.Exif()
        exif[0x112] = 6
        file = saved(image, form, exif=exif)
        # The orientation is part of TIFF, and Pillow turns it.
        pixels = np.rot90(shown, -1) if form == 'TIFF' else shown
        yield Case(f'{form} turned by EXIF', file, pixels, LOSSY)
    gif = saved(image.convert('L'), 'GIF')
    grey = np.dstack(3 * [np.asarray(image.convert('L'))])
    yield Case('GIF without its trailer', gif[:-1], grey)
    yield Case('GIF with a background that its table lacks', gif_background(gif), grey)
    notes = (
        chunk(b'iCCP', b'odd\0\0' + zlib.compress(b'not a profile')),
        chunk(b'sBIT', b'\x09\x09\x09'),
        chunk(b'tEXt', b'no end'),
        chunk(b'tRNS', bytes(6)),
        chunk(b'acTL', bytes(8)),
        chunk(b'gAMA', bytes(4)),
        chunk(b'eXIf', b'not EXIF'),
        chunk(b'loNg', bytes(1000)),
    )
    for note in notes:
        yield Case(f'PNG with {note[4:8]}', png(shown, 8, 2, note), shown)
    table = chunk(b'PLTE', bytes(range(48)))
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4)
    colours = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    alpha = chunk(b'tRNS', bytes(range(16)))
    yield Case('PNG of a table with alpha', png(indices, 8, 3, table, alpha), colours)
    rows = png(shown[:5], 8, 2)
    for name, file in (
        # The checksums are right, and the rows are not those of the header.
        ('fewer rows', png(shown, 8, 2)[:33] + rows[33:]),
        ('no rows', png(shown, 8, 2)[:33] + chunk(b'IEND', b'')),
        ('a filter that does not exist', png_of_rows(b'\x09' + bytes(159))),
    ):
        yield Case(f'PNG with {name}', file, refusal='damaged pixel data')
    for name, ending in (('HEIC', b'heic'), ('JPEG XL', b'jxl ')):
        file = struct.pack('>I', 24) + b'ftyp' + ending + bytes(99)
        yield Case(name, file, refusal='not an image')
    for name, file in (
        ('nothing', b''),
        ('text', b'<html>404</html>'),
        ('EPS', b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n'),
        ('SVG', b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ('zeros', bytes(5000)),
        ('PDF', b'%PDF-1.4\n'),
        ('numpy', b'\x93NUMPY\1\0'),
    ):
        yield Case(name, file, refusal='not an image')
    for side in (13_000, 30_000, 2**31 - 1):
        yield Case(f'PNG of {side}', png_of_size(side), refusal='pixels')
        for magic in (b'P5', b'P6'):
            head = b'%s %d %d 255\n' % (magic, side, side)
            yield Case(f'{magic} of {side}', head + bytes(99), refusal='pixels')


def gif_background(gif: bytes) -> bytes:
    """Shortens the table of colours that the background points into."""
    return gif[:11] + b'\xff' + gif[12:]


def png_of_size(side: int) -> bytes:
    head = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    parts = chunk(b'IHDR', head), chunk(b'IDAT', zlib.compress(bytes(99)))
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts) + chunk(b'IEND', b'')


def damages(file: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yields a file cut short, with other bytes, and with blocks lost or doubled."""
    generator = np.random.default_rng(seed)
    size = len(file)
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        yield f'cut at {share}', file[: int(share * size)]
    for place in generator.integers(size, size=FLIPS):
        other = file[place] ^ (1 << generator.integers(8))
        yield f'flip at {place}', file[:place] + bytes([other]) + file[place + 1 :]
    for length in (1, 16, 64):
        start = int(generator.integers(size // 3, 2 * size // 3))
        stop = start + length
        for name, block in (
            ('zeros', bytes(length)),
            ('0xff', b'\xff' * length),
            ('no bytes', b''),
            ('twice', 2 * file[start:stop]),
            ('noise', generator.bytes(length)),
        ):
            yield f'{name} at {start} to {stop}', file[:start] + block + file[stop:]


def damaged_files() -> Iterator[Case]:
    """Yields damaged files of every format and mode."""
    for form, (modes, variants) in WRITTEN.items():
        for number, mode in enumerate(modes):
            image = with_alpha(Image.fromarray(picture(64, 80)), mode)
            file = saved(image, form, **variants[-1])
            for name, other in damages(file, number):
                # Every byte of a PNG counts in a checksum.
                refused = form == 'PNG' and other != file
                refusal = 'bytes' if refused else ''
                if other != file:
                    yield Case(f'{form} {mode} {name}', other, refusal=refusal)


def cases() -> Iterator[Case]:
    """Yields all hostile files."""
    yield from whole_files()
    yield from deep_files()
    yield from odd_files()
    yield from damaged_files()


def photos() -> list[bytes]:
    """Returns photos of ImageNet, or JPEGs of their size where there are none."""
    if 'TFDS_DATA_DIR' in os.environ:
        source = open_source('tfds:imagenet2012', 'validation')
        return [source[index].image for index in range(PHOTOS)]
    images = (picture(200 + 7 * number, 300) for number in range(PHOTOS))
    return [saved(Image.fromarray(image), 'JPEG', quality=90) for image in images]


def damages_inside(photo: bytes, other: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields a JPEG with eight kinds of damage in the data of its pixels."""
    start = photo.index(b'\xff\xda') + 20
    middle = (start + len(photo)) // 2
    yield 'the end after a half', photo[:middle] + b'\xff\xd9'
    yield 'cut short', photo[:middle]
    yield 'a lost block', photo[:middle] + photo[middle + 512 :]
    yield '512 zeros', photo[:middle] + bytes(512) + photo[middle + 512 :]
    yield '512 of 0xff', photo[:middle] + b'\xff' * 512 + photo[middle + 512 :]
    yield 'a marker', photo[:middle] + b'\xff\xc4' + photo[middle + 2 :]
    yield 'another photo', photo[:middle] + other[len(other) // 2 :]
    yield 'another photo within', photo[:middle] + other + photo[middle:]


def by_pillow(file: bytes) -> np.ndarray:
    """Returns the pixels as Pillow alone decodes them."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with Image.open(io.BytesIO(file)) as image:
            if image.mode.startswith('I'):
                # A difference from Pillow, which turns all above 255 to white.
                values = np.asarray(image.convert('I')) >> 8
                return np.dstack(3 * [values.astype(np.uint8)])
            return np.asarray(image.convert('RGB'))


def outcome(case: Case) -> str:
    """Decodes a file and returns 'decoded' or 'refused'.

    Raises:
      AssertionError: the outcome is not that of the case.
    """
    try:
        pixels = decode(case.file)
    except ValueError as error:
        message = str(error)
        assert case.shown is None, f'{case.name} is refused: {message}'
        assert '\n' not in message, case.name
        assert case.refusal in message, f'{case.name}: {message}'
        return 'refused'
    assert not case.refusal, f'{case.name} is decoded'
    assert pixels.dtype == np.uint8, case.name
    assert pixels.shape[2:] == (3,), case.name
    apart = np.abs(pixels.astype(int) - by_pillow(case.file)).max()
    assert apart <= 2, f'{case.name} is {apart} grey levels from Pillow'
    if case.shown is not None:
        assert pixels.shape == case.shown.shape, case.name
        off = np.abs(pixels.astype(float) - case.shown).mean()
        assert off <= case.off, f'{case.name} is off by {off:.1f} grey levels'
    return 'decoded'


def damaged_photos() -> Iterator[Case]:
    """Yields photos with damage inside; libjpeg's own words refuse them, if any."""
    files = photos()
    for number, photo in enumerate(files):
        other = files[(number + 1) % len(files)]
        for name, file in damages_inside(photo, other):
            yield Case(f'photo {number} with {name}', file, refusal=complaint(file))


def complaint(file: bytes) -> str:
    """Returns what libjpeg reports about a JPEG, '' if nothing."""
    try:
        simplejpeg.decode_jpeg(file, 'RGB', strict=True)
    except ValueError as error:
        return str(error)
    return ''


def main() -> None:
    counts, wrong = collections.Counter(), []
    for case in itertools.chain(cases(), damaged_photos()):
        try:
            counts[case.name.split()[0], outcome(case)] += 1
        except Exception as error:
            wrong.append(f'{type(error).__name__} {error}')
    for (form, result), count in sorted(counts.items()):
        print(f'{form:12} {result} {count:5}')
    print(f'{counts.total():,} as expected, {len(wrong):,} not')
    print('\n'.join(wrong))


if __name__ == '__main__':
    main()
