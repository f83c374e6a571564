"""Files that are written whole or not at all, and locks on files."""

import contextlib
import fcntl
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def refuse_unwritable(folder: Path) -> Iterator[None]:
    """Turns an OSError of the block into a ValueError that names the folder.

    Raises:
      ValueError: a file in the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise ValueError(
            f'cannot write to {folder} ({error.strerror}); name another folder'
        ) from error


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yields the path of a draft, which replaces `path` at the end of the block.

    A reader sees the old file or the new one, never a part. After an error the old file
    is unchanged and the draft is gone. A device or a pipe is written directly.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    draft = path.with_name(f'{path.name}.{uuid.uuid4().hex[:12]}.draft')
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file (UTF-8) atomically; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft:
        draft.write_text(text, encoding='utf-8')


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON atomically.

    Raises:
      ValueError: the value holds a number that is not finite.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Waits until no other process is in such a block for the same file."""
    with path.with_name(f'.{path.name}.lock').open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
