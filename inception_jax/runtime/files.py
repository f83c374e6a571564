"""Writes files atomically, appends to files and locks files.

A folder may come from a stranger. No file is written or locked through a symbolic link
in it, because the link could lead to any file of the user.
"""

import contextlib
import errno
import fcntl
import json
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from inception_jax.runtime.paths import local_path


class Unwritable(ValueError):
    """A folder cannot be written. In a run, this is a failure outside the program."""


@contextlib.contextmanager
def refuse_unwritable(folder: Path) -> Iterator[None]:
    """Turns an OSError of the block into a ValueError that names the folder.

    Raises:
      Unwritable: a file in the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise Unwritable(
            f'cannot write to {folder} ({error.strerror or error}); name another folder'
        ) from error


def open_no_link(path: Path, mode: str) -> IO[str]:
    """Opens a text file to append to it or to lock it.

    Raises:
      OSError: the file cannot be written, or `path` is a symbolic link, a pipe or a
        device.
    """
    return open(path, mode, encoding='utf-8', opener=_open_regular)


def _open_regular(path: str, flags: int) -> int:
    try:
        # Without O_NONBLOCK, a pipe would wait for its reader.
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        kinds = {errno.ELOOP: 'a symbolic link', errno.ENXIO: 'a pipe'}
        if error.errno not in kinds:
            raise
        reason = f'{Path(path).name} is {kinds[error.errno]}; remove it'
        raise OSError(error.errno, reason, path) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        reason = f'{Path(path).name} is not a regular file; remove it'
        raise OSError(errno.EINVAL, reason, path)
    return descriptor


@contextlib.contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Yields the path of a draft, which replaces `path` at the end of the block.

    A reader sees the old file or the new file, never a part. After an error the old
    file is unchanged and the draft is removed. A device or a pipe is written directly.
    A symbolic link is replaced, except for system links such as /dev/stdout.

    Raises:
      ValueError: the path is a URL.
    """
    path = local_path(path)
    is_regular = not path.exists() or path.is_file()
    is_foreign_link = path.is_symlink() and path.absolute().parts[1:2] != ('dev',)
    if not (is_regular or is_foreign_link):
        yield path
        return
    draft = path.with_name(f'{path.name[:40]}.{uuid.uuid4().hex[:12]}.draft')
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield draft
        draft.replace(path)
    except OSError as error:
        if error.errno and error.filename in (None, str(draft), draft):
            error.filename = str(path)
        raise
    finally:
        # On a read-only file system this fails too, after the draft has failed.
        with contextlib.suppress(OSError):
            draft.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file (UTF-8) atomically; creates its folder."""
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
    """Locks a file for the block; first waits until no other process holds the lock."""
    with open_no_link(path.with_name(f'.{path.name}.lock'), 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
