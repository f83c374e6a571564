"""The lock on a workdir: one process at a time trains a run."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from inception_jax.runtime.files import open_no_link, refuse_unwritable


class WorkdirInUse(ValueError):
    """Another process holds the lock on a folder."""


def lock_workdir(folder: Path) -> IO:
    """Locks a folder for this process until the returned file is closed.

    Raises:
      WorkdirInUse: another process holds the lock.
      ValueError: the folder cannot be written, or its file system has no locks.
    """
    with refuse_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = open_no_link(folder / '.hold', 'a+')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or 'another process'
        file.close()
        raise WorkdirInUse(
            f'{holder} is at work in {folder}; wait until it ends, stop it, or use '
            'another folder'
        ) from error
    except OSError as error:
        file.close()
        raise ValueError(
            f'{folder} cannot be locked ({error.strerror}); use a folder on a file '
            'system with flock'
        ) from error
    try:
        with refuse_unwritable(folder):
            file.truncate(0)
            file.write(f'process {os.getpid()} on {socket.gethostname()}')
            file.flush()
    except ValueError:
        with contextlib.suppress(OSError):
            file.close()
        raise
    return file
