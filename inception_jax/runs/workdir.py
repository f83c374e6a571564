"""The folder of a run: its files, and what it ends with."""

import datetime
import fcntl
import json
import os
import shlex
import socket
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from inception_jax.runtime.files import parse_class_names, refuse_unwritable, write_json

CLASSES = 'classes.json'


def is_sweep(folder: Path) -> bool:
    return (folder / 'sweep.json').exists()


def is_run(folder: Path) -> bool:
    return (folder / 'config.json').exists()


def claim_workdir(
    folder: Path, run: Mapping[str, Any], class_names: Sequence[str]
) -> None:
    """Makes the folder that of a run, with the names of its classes in their order.

    Raises:
      ValueError: it cannot be written.
    """
    with refuse_unwritable(folder):
        (folder / 'checkpoints').mkdir(parents=True, exist_ok=True)
        write_json(folder / CLASSES, list(class_names))
        write_json(folder / 'config.json', run)


def clear_outcome(folder: Path) -> None:
    """Takes away how a run ended that goes on; it gets another verdict at its end."""
    for name in ('verdict.json', 'error.txt'):
        (folder / name).unlink(missing_ok=True)


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the config of the run in a folder.

    Raises:
      ValueError: there is none.
    """
    return read_identity(folder)['config']


def read_identity(folder: Path) -> dict[str, Any]:
    """Returns what is told of the run in a folder: its config, network and data.

    Raises:
      ValueError: there is none.
    """
    if is_sweep(folder):
        raise ValueError(
            f'{folder} holds a sweep; name the folder of one of its members, in '
            f'{folder / "members"}'
        )
    try:
        found = json.loads((folder / 'config.json').read_text())
        return found | {'config': dict(found['config'])}
    except FileNotFoundError as error:
        raise ValueError(
            f'{folder} holds no run; begin one with train --config'
        ) from error
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{folder / "config.json"} is not that of a run') from error


def read_class_names(folder: Path) -> tuple[str, ...] | None:
    """Returns the names of the classes of a run, None where an older one has none.

    Raises:
      ValueError: the file is damaged.
    """
    try:
        return parse_class_names(json.loads((folder / CLASSES).read_text()))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f'{folder / CLASSES} is damaged; remove it, and train, going on, makes it '
            'again'
        ) from error


def read_lineage(folder: Path) -> dict[str, Any] | None:
    """Returns where a forked run comes from, None for a run from the beginning."""
    path = folder / 'lineage.json'
    return json.loads(path.read_text()) if path.exists() else None


def read_verdict(folder: Path) -> dict[str, Any] | None:
    """Returns how a run ended, None for one that goes on or was killed.

    A damaged file says nothing: the run goes on from its checkpoint and writes another.
    """
    try:
        found = json.loads((folder / 'verdict.json').read_text())
    except (FileNotFoundError, ValueError):
        return None
    needed = {'verdict', 'steps_done', 'steps'}
    return found if isinstance(found, dict) and needed <= found.keys() else None


def fork_step(folder: Path) -> tuple[int, ...]:
    """Returns the step at which a forked run begins, or nothing."""
    begun = read_lineage(folder)
    return (begun['step'],) if begun else ()


def log_command(folder: Path) -> None:
    """Adds the command of this process to commands.log, with the time."""
    now = datetime.datetime.now().isoformat(timespec='seconds')
    with (folder / 'commands.log').open('a') as file:
        file.write(f'{now} {shlex.join(sys.orig_argv)}\n')


class WorkdirInUse(ValueError):
    """Another process is at work in a folder."""


def lock_workdir(folder: Path) -> IO:
    """Makes a folder this process's own, until what it returns is closed.

    Raises:
      InUse: another process holds it.
      ValueError: it cannot be written, or its file system has no locks.
    """
    with refuse_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / '.hold').open('a+')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        who = file.read().strip() or 'another process'
        file.close()
        raise WorkdirInUse(
            f'{who} is at work in {folder}; wait for its end or stop it, or use '
            'another --workdir'
        ) from error
    except OSError as error:
        file.close()
        raise ValueError(
            f'{folder} cannot be held by one process ({error.strerror}); name a folder '
            'on a file system that knows flock'
        ) from error
    file.truncate(0)
    file.write(f'process {os.getpid()} on {socket.gethostname()}')
    file.flush()
    return file


def move_to_damaged(path: Path) -> Path:
    """Moves a damaged checkpoint out of the way and returns where it is now."""
    place = path.parent.with_name('damaged')
    place.mkdir(exist_ok=True)
    return path.rename(place / f'{path.name}-{uuid.uuid4().hex[:6]}')


def is_finished(verdict: Mapping[str, Any]) -> bool:
    """Tells of the content of a verdict.json whether the run has come to its end."""
    return is_ended(verdict) or verdict['steps_done'] >= verdict['steps']


def is_ended(verdict: Mapping[str, Any]) -> bool:
    """Tells of the content of a verdict.json whether the verdict ended the run."""
    # Older ones say nothing of it and ended where they diverged.
    return verdict.get('ended', verdict['verdict'] == 'diverged')
