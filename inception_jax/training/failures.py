"""Errors from outside that end a run: the disk, the data, the memory of the device."""

import contextlib
import errno
from collections.abc import Iterator

import jax

from inception_jax.data.example import Unreadable
from inception_jax.data.prefetch import LostWorker
from inception_jax.runs.checkpoints import NotSaved
from inception_jax.runtime.files import Unwritable
from inception_jax.runtime.messages import first_line, os_error_text
from inception_jax.runtime.signals import Stopped

AGAIN = 'run the same command again to resume from the last checkpoint'


@contextlib.contextmanager
def outside_errors_as_stopped() -> Iterator[None]:
    """Raises Stopped in place of an error of the block that comes from outside.

    All other errors are bugs of this package and pass unchanged.
    """
    try:
        yield
    except Exception as error:
        reason = _reason_and_remedy(error)
        if reason is None:
            raise
        raise Stopped(reason) from error


def _reason_and_remedy(error: Exception) -> str | None:
    """Returns one line for the user, None for an error that is a bug."""
    match error:
        case NotSaved():
            return f'{error}; free some space, or check the disk; then {AGAIN}'
        case Unreadable():
            return (
                f'{error}; restore the data, or set config.data.on_unreadable=skip; '
                f'then {AGAIN}'
            )
        case Unwritable() | LostWorker():
            return f'{error}; then {AGAIN}'
        case BrokenPipeError():
            return f'the program that reads the output has ended; {AGAIN}'
        case OSError():
            too_many = error.errno in (errno.EMFILE, errno.ENFILE)
            remedy = (
                'allow more open files (ulimit -n)' if too_many else 'check the disk'
            )
            return f'{os_error_text(error)}; {remedy}; then {AGAIN}'
        case MemoryError():
            return (
                f'this machine has too little memory ({first_line(error)}); use a '
                'smaller config.run.batch_size or fewer config.data.workers; then '
                f'{AGAIN}'
            )
        case jax.errors.JaxRuntimeError() if 'RESOURCE_EXHAUSTED' in first_line(error):
            return (
                'the step does not fit in the memory of the device '
                f'({first_line(error)}); use a smaller config.run.batch_size, '
                'config.recipe.accumulation, config.recipe.remat=all or '
                'config.recipe.dtype=bfloat16, in another folder if this folder '
                'refuses the change (train --dry-run reports what fits)'
            )
    return None
