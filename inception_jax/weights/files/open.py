"""Opens the arrays of a file; the file type is detected from its first bytes."""

import contextlib
import glob
import struct
from collections.abc import Iterator
from pathlib import Path

from inception_jax.weights.files import hdf5, safetensors, tensorflow, torch
from inception_jax.weights.files.errors import NotWeights, open_archive
from inception_jax.weights.files.lazy_array import LazyArray

HDF5 = b'\x89HDF\r\n\x1a\n'
ZIP = b'PK\x03\x04'
GZIP = b'\x1f\x8b'
PICKLE = b'\x80'
# The last bytes of the tables in checkpoints of TensorFlow.
TABLE = struct.pack('<Q', 0xDB4775248B80FB57)
TAR = slice(257, 262)

EXPECTED = (
    'expected .safetensors, .h5, .weights.h5, .keras, .pth or a checkpoint of '
    'TensorFlow'
)


@contextlib.contextmanager
def open_arrays(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a file by name; values are read while the file is open.

    A checkpoint of TensorFlow with several files is named by their common prefix, or by
    its .index file; several files of safetensors by their .safetensors.index.json.

    Raises:
      ValueError: the file does not exist, has no weights, is damaged, or needs a
        library that is not installed.
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
    """Returns the files that a path names: one, or all files of a checkpoint."""
    if path.name.endswith(safetensors.INDEX):
        return [path, *map(path.with_name, sorted(safetensors.index_files(path)))]
    prefix = path.name.removesuffix('.index')
    shards = sorted(path.parent.glob(f'{glob.escape(prefix)}.data-*'))
    return [*shards, path.with_name(f'{prefix}.index')] if shards else [path]


def _reader(path: Path):
    """Returns the function that opens a file of this type."""
    if path.name and path.with_name(f'{path.name}.index').is_file():
        return tensorflow.open_tensorflow
    if path.is_dir():
        raise NotWeights(f'is a folder; name a file in it; {EXPECTED}')
    if not path.is_file():
        raise NotWeights(f'does not exist, or is not a file; {EXPECTED}')
    if path.name.endswith(safetensors.INDEX):
        return safetensors.open_index
    with path.open('rb') as file:
        head = file.read(512)
        size = file.seek(0, 2)
        file.seek(max(0, size - len(TABLE)))
        tail = file.read(len(TABLE))
    # Comes first: the length at the start of such a file may look like another type.
    if head[8:9] == b'{' and int.from_bytes(head[:8], 'little') < size:
        return safetensors.open_safetensors
    if head.startswith(HDF5):
        return hdf5.open_h5
    if head.startswith(ZIP):
        return _reader_of_zip(path)
    if tail == TABLE:
        return tensorflow.open_tensorflow
    if head.startswith(torch.OLD):
        return torch.open_pytorch
    if head.startswith(PICKLE):
        raise NotWeights(
            f'is a pickle, which can run any code when it is loaded; {EXPECTED}'
        )
    if head.startswith(GZIP) or head[TAR] == b'ustar':
        raise NotWeights('is an archive; unpack it (tar xf) and name a file in it')
    if head[8:9] == b'{':
        # The header is longer than the file.
        raise NotWeights('is cut short or damaged (the header does not end)')
    raise NotWeights(f'is not a file of weights; {EXPECTED}')


def _reader_of_zip(path: Path):
    with open_archive(path) as file:
        names = file.namelist()
    if hdf5.IN_ARCHIVE in names:
        return hdf5.open_keras
    if any(name.endswith('data.pkl') for name in names):
        return torch.open_pytorch
    raise NotWeights(f'is an archive without weights; {EXPECTED}')
