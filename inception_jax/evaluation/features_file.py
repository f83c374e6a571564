"""A file of arrays that grows by rows: as many as come, none of them in memory."""

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
    path: Path, about: Mapping[str, Any]
) -> Iterator[Callable[[str, np.ndarray], None]]:
    """Yields what adds a row and its id; then writes an npz file in one piece.

    It has `ids`, `features`, a row for each of them, and `about` as a text of JSON.
    After an error there is none.

    Raises:
      OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    ids, like = [], np.zeros((0,), np.float32)
    with (
        write_atomically(path) as whole,
        tempfile.TemporaryFile(dir=path.parent) as rows,
    ):

        def add(name: str, row: np.ndarray) -> None:
            nonlocal like
            like = row
            ids.append(name)
            rows.write(np.ascontiguousarray(row).tobytes())

        yield add
        rows.seek(0)
        with zipfile.ZipFile(whole, 'w') as archive:
            _write(archive, 'ids', np.array(ids, str))
            _write(archive, 'about', np.array(json.dumps(about)))
            head = FORMAT.header_data_from_array_1_0(like)
            head['shape'] = (len(ids), *like.shape) if ids else (0,)
            with archive.open('features.npy', 'w', force_zip64=True) as member:
                FORMAT.write_array_header_1_0(member, head)
                shutil.copyfileobj(rows, member, 2**24)


def _write(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    with archive.open(f'{name}.npy', 'w', force_zip64=True) as member:
        FORMAT.write_array(member, array, allow_pickle=False)
