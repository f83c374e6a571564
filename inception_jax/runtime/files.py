"""Files that are written whole or not at all, and locks on them."""

import contextlib
import fcntl
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def refuse_unwritable(folder: Path) -> Iterator[None]:
    """Raises ValueError where what is written in the block cannot be."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f'cannot write to {folder} ({error.strerror}); name another folder'
        ) from error


def parse_class_names(classes: Any) -> tuple[str, ...]:
    """Returns the names of classes in JSON.

    Raises:
      ValueError: they are no list of texts.
    """
    texts = isinstance(classes, list) and all(isinstance(x, str) for x in classes)
    if not texts or not classes:
        raise ValueError('no list of names')
    return tuple(classes)


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yields where to write a file, which is there when all of it is written."""
    place = draft_path(path)
    try:
        yield place
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON in one piece: whoever reads it sees the old file or the new one."""
    text = json.dumps(value, indent=2, allow_nan=False) + '\n'
    with write_atomically(path) as place:
        place.write_text(text)


def draft_path(path: Path) -> Path:
    """Returns where to write what is to replace a file: a place of its own."""
    return path.with_name(f'{path.name}.{uuid.uuid4().hex[:12]}.draft')


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for the same file."""
    with path.with_name(f'.{path.name}.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
