"""The folder of a run: which files it holds, and the effects on it."""

import datetime
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.runtime.files import refuse_unwritable, write_json

CONFIG = 'config.json'
CLASSES = 'classes.json'
VERDICT = 'verdict.json'
LINEAGE = 'lineage.json'
ERROR = 'error.txt'
COMMANDS = 'commands.log'


def is_sweep(folder: Path) -> bool:
    return (folder / 'sweep.json').exists()


def is_run(folder: Path) -> bool:
    return (folder / CONFIG).exists()


def claim_workdir(
    folder: Path, identity: Mapping[str, Any], class_names: Sequence[str]
) -> None:
    """Makes the folder and writes the identity of its run and the names of its classes.

    Raises:
      ValueError: the folder cannot be written.
    """
    with refuse_unwritable(folder):
        (folder / 'checkpoints').mkdir(parents=True, exist_ok=True)
        write_json(folder / CLASSES, list(class_names))
        write_json(folder / CONFIG, identity)


def clear_outcome(folder: Path) -> None:
    """Removes the verdict and the error of a run that resumes."""
    for name in (VERDICT, ERROR):
        (folder / name).unlink(missing_ok=True)


def log_command(folder: Path) -> None:
    """Adds the time and the command line of this process to commands.log."""
    now = datetime.datetime.now().isoformat(timespec='seconds')
    with (folder / COMMANDS).open('a') as file:
        file.write(f'{now} {shlex.join(sys.orig_argv)}\n')


def checkpoint_steps(folder: Path) -> list[int]:
    """Lists the steps that have a checkpoint in a folder of checkpoints, in order.

    A checkpoint that is being written has a name that is not a number.
    """
    if not folder.is_dir():
        return []
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted(int(name) for name in names if name.isdecimal())


def move_to_damaged(checkpoint: Path) -> Path:
    """Moves a damaged checkpoint to the folder `damaged` and returns its new path."""
    place = checkpoint.parent.with_name('damaged')
    place.mkdir(exist_ok=True)
    return checkpoint.rename(place / f'{checkpoint.name}-{uuid.uuid4().hex[:6]}')
