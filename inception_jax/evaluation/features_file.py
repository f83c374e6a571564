"""An npz file that is written row by row, so that the rows need not fit in memory."""

import contextlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.runtime.files import write_atomically

FORMAT = np.lib.format


@contextlib.contextmanager
def open_features_file(
    path: Path, metadata: Mapping[str, Any]
) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Yields a function that adds an id and its row; then writes the file atomically.

    The file has `ids`, `features` with one row for each id, and `about`, the metadata
    as JSON. All rows have the same shape and type. After an error there is no file.

    Raises:
      OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids, last_row = [], np.zeros((0,), np.float32)
    with (
        write_atomically(path) as draft,
        tempfile.TemporaryFile(dir=path.parent) as rows,
    ):

        def add(name: str, row: np.ndarray) -> None:
            nonlocal last_row
            last_row = row
            ids.append(name)
            rows.write(np.ascontiguousarray(row).tobytes())

        yield add
        rows.seek(0)
        with zipfile.ZipFile(draft, 'w') as archive:
            _write_array(archive, 'ids', np.array(ids, str))
            _write_array(archive, 'about', np.array(json.dumps(metadata)))
            header = FORMAT.header_data_from_array_1_0(last_row)
            header['shape'] = (len(ids), *last_row.shape) if ids else (0,)
            with archive.open('features.npy', 'w', force_zip64=True) as member:
                FORMAT.write_array_header_1_0(member, header)
                shutil.copyfileobj(rows, member, 2**24)


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
        FORMAT.write_array(member, array, allow_pickle=False)
