"""From a path to the arrays in its file, by what the file is."""

import contextlib
import glob
import struct
from collections.abc import Iterator
from pathlib import Path

from inception_jax.weights.files import hdf5, safetensors, tensorflow, torch
from inception_jax.weights.files.errors import NotWeights, archive
from inception_jax.weights.files.lazy_array import LazyArray

HDF5 = b'\x89HDF\r\n\x1a\n'
ZIP = b'PK\x03\x04'
GZIP = b'\x1f\x8b'
PICKLE = b'\x80'
# The last bytes of the tables that checkpoints of TensorFlow are made of.
TABLE = struct.pack('<Q', 0xDB4775248B80FB57)
TAR = slice(257, 262)

EXPECTED = (
    'expected .safetensors, .h5, .weights.h5, .keras, .pth or a checkpoint of '
    'TensorFlow'
)


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a file by their names; they are read while it is open.

    A checkpoint of TensorFlow is named by its one file, or by what the names of its
    several files begin with.

    Raises:
      ValueError: there is no such file, it is none of weights, it is damaged, or what
        reads it is not installed.
    """
    try:
        with _reader(path)(path) as arrays:
            yield arrays
    except NotWeights as error:
        raise ValueError(f'{path} {error}') from error
    except OSError as error:
        raise ValueError(
            f'{path} cannot be read ({error.strerror or error})'
        ) from error


def file_parts(path: Path) -> list[Path]:
    """Returns the files that a path names: itself, or those of a checkpoint."""
    prefix = path.name.removesuffix('.index')
    found = sorted(path.parent.glob(f'{glob.escape(prefix)}.data-*'))
    return [*found, path.with_name(f'{prefix}.index')] if found else [path]


def _reader(path: Path):
    """Returns what opens a file of this kind."""
    if path.name and path.with_name(f'{path.name}.index').is_file():
        return tensorflow.opened
    if path.is_dir():
        raise NotWeights(f'is a folder; name a file in it; {EXPECTED}')
    if not path.is_file():
        raise NotWeights(f'is not there, or no file; {EXPECTED}')
    with path.open('rb') as file:
        head = file.read(512)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(TABLE)))
        tail = file.read(len(TABLE))
    # Before others, for the length that it begins with may be their first bytes.
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < size:
        return safetensors.opened
    if head.startswith(HDF5):
        return hdf5.opened
    if head.startswith(ZIP):
        return _reader_of_zip(path)
    if tail == TABLE:
        return tensorflow.opened
    if head.startswith(torch.OLD):
        return torch.opened
    if head.startswith(PICKLE):
        raise NotWeights(
            f'is a pickle, which can run any code when it is read; {EXPECTED}'
        )
    if head.startswith(GZIP) or head[TAR] == b'ustar':
        raise NotWeights('is an archive; unpack it (tar xf) and name a file of it')
    if head[8:9] == b'{':
        # Its head is longer than the file.
        raise NotWeights('is cut short or damaged (a head without an end)')
    raise NotWeights(f'is no file of weights; {EXPECTED}')


def _reader_of_zip(path: Path):
    with archive(path) as file:
        names = file.namelist()
    if hdf5.IN_ARCHIVE in names:
        return hdf5.opened_archive
    if any(name.endswith('data.pkl') for name in names):
        return torch.opened
    raise NotWeights(f'is an archive without weights; {EXPECTED}')
