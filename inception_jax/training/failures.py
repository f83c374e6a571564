"""What ends a run from outside: the disk, the data, the memory of the device."""

import contextlib
from collections.abc import Iterator

import jax

from inception_jax.data.example import Unreadable
from inception_jax.data.prefetch import LostWorker
from inception_jax.runs.checkpoints import NotSaved
from inception_jax.runtime.signals import Stopped

AGAIN = 'run the same command again: it goes on from the last checkpoint'


@contextlib.contextmanager
def outside_errors_as_stopped() -> Iterator[None]:
    """Raises Stopped for an error of the block that comes from outside.

    Other errors are the project's own and go on as they are.
    """
    try:
        yield
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise Stopped(reason) from error


def _reason(error: Exception) -> str | None:
    """Returns what happened and what to do, None where that is not known."""
    first = (str(error) or type(error).__name__).splitlines()[0]
    match error:
        case NotSaved():
            return f'{error}; make room, or see to the disk; then {AGAIN}'
        case Unreadable():
            return (
                f'{error}; restore the data, or set config.data.on_unreadable=skip; '
                f'then {AGAIN}'
            )
        case LostWorker():
            return f'{error}; then {AGAIN}'
        case BrokenPipeError():
            return f'what reads its output has ended; {AGAIN}'
        case OSError():
            where = f'{error.filename}: ' if error.filename else ''
            return f'{where}{error.strerror or first}; see to the disk; then {AGAIN}'
        case jax.errors.JaxRuntimeError() if 'RESOURCE_EXHAUSTED' in first:
            return (
                f'the step does not fit the memory of the device ({first}); use a '
                'smaller config.run.batch_size, config.recipe.accumulation, '
                'config.recipe.remat=all or config.recipe.dtype=bfloat16 (train '
                '--dry-run tells what fits) in another --workdir where it refuses them'
            )
    return None
