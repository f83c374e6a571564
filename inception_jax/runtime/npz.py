"""Reads npz files of unknown origin in bounded memory."""

import math
import zipfile
from pathlib import Path

import numpy as np

# The package writes arrays without compression. An archive that grows by more than this
# factor when it is unpacked was made to exhaust the memory.
MOST_GROWTH = 4
LEAST_SIZE = 2**16


class Damaged(Exception):
    """The reason why a file cannot be read."""


def read_npz(
    path: Path, expected: dict[str, str], others: str = ''
) -> dict[str, np.ndarray]:
    """Returns the arrays of an npz file, after checks of sizes, shapes and types.

    Args:
      expected: the kinds of dtypes that each array may have, e.g. 'iu' for integers.
      others: the kinds of all other arrays; by default no others are allowed.

    Raises:
      Damaged: the file is not an npz file, would unpack to many times its size, or has
        unexpected arrays.
      OSError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _members(archive, path.stat().st_size)
            missing, further = expected.keys() - names, names - expected.keys()
            if missing or (further and not others):
                raise Damaged(f'expected the arrays {", ".join(expected)}')
            kinds = dict.fromkeys(sorted(further), others) | expected
            return {name: _read(archive, name, kinds[name]) for name in kinds}
    except (Damaged, OSError, MemoryError):
        raise
    except Exception as error:  # zipfile and NumPy raise many types for damage.
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise Damaged(reason) from error


def _members(archive: zipfile.ZipFile, size: int) -> set[str]:
    """Returns the names of the arrays in an archive of `size` bytes."""
    files = [member.filename for member in archive.infolist()]
    names = {file.removesuffix('.npy') for file in files if file.endswith('.npy')}
    if len(names) < len(files):
        raise Damaged('it has files that are not arrays, or two files of one name')
    whole = sum(member.file_size for member in archive.infolist())
    if whole > MOST_GROWTH * max(size, LEAST_SIZE):
        raise Damaged(f'would unpack from {size:,} bytes to {whole:,}')
    return names


def _read(archive: zipfile.ZipFile, name: str, kinds: str) -> np.ndarray:
    member = archive.getinfo(f'{name}.npy')
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise Damaged(f'{name} has an unknown version')
        read_header = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        size = math.prod(shape) * dtype.itemsize
        if dtype.kind not in kinds or dtype.hasobject:
            raise Damaged(f'{name} has the type {dtype}')
        # NumPy allocates the array that the header promises before it reads.
        if min(shape, default=0) < 0 or size != member.file_size - file.tell():
            raise Damaged(f'{name} does not have the size of its shape {[*shape]}')
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)
