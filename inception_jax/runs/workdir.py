"""The folder of a run: which files it holds, and the effects on it."""

import datetime
import re
import shlex
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.runtime.files import open_no_link, refuse_unwritable, write_json
from inception_jax.runtime.messages import printable

CONFIG = 'config.json'
CLASSES = 'classes.json'
SWEEP = 'sweep.json'
VERDICT = 'verdict.json'
LINEAGE = 'lineage.json'
ERROR = 'error.txt'
COMMANDS = 'commands.log'


def check_workdir_path(folder: Path) -> None:
    """Raises ValueError for a folder in which a run could not be saved or read again.

    Orbax takes the path of a checkpoint for a pattern of paths, and TensorStore takes a
    backslash for a slash.
    """
    path = str(folder.absolute())
    if folder.resolve() == Path(folder.absolute().anchor):
        raise ValueError(f'{folder} is the root of all folders; name a folder below it')
    if refused := re.search(r'[][*?\\\x00-\x1f\x7f]', path):
        raise ValueError(
            f'the path {printable(path)} has the character {refused[0]!r}, with which '
            'checkpoints cannot be read again; use a folder without *, ?, [, ], \\ and '
            'control characters'
        )


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP).exists()


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
    """Adds the time and the command line of this process to commands.log.

    Raises:
      ValueError: the file cannot be written.
    """
    now = datetime.datetime.now().isoformat(timespec='seconds')
    command = printable(shlex.join(sys.orig_argv))
    with refuse_unwritable(folder), open_no_link(folder / COMMANDS, 'a') as file:
        file.write(f'{now} {command}\n')


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
