"""Checkpoints of a run: the whole training state, and metadata for an exact resume.

Each checkpoint holds checksums of its content, because Orbax returns a flipped bit
without an error.
"""

import asyncio
import contextlib
import dataclasses
import gc
import inspect
import logging
import math
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from inception_jax.runs.checksums import (
    content_checksums,
    json_checksum,
    structure_checksum,
)
from inception_jax.runs.workdir import checkpoint_steps
from inception_jax.runtime import processes
from inception_jax.runtime.messages import first_line
from inception_jax.steps.state import TrainState

Manager = ocp.CheckpointManager

# Seconds for a thread or a task of Orbax to end after an error.
LONGEST_WAIT = 10.0


class DamagedCheckpoint(NamedTuple):
    """A checkpoint that cannot be read, and the reason."""

    path: Path
    reason: str


class Saved(NamedTuple):
    """A restored checkpoint.

    `metadata` is JSON: the identity of the run, the verdict so far, the metrics since
    the last record. `damaged` are newer checkpoints that cannot be read.
    """

    state: TrainState
    metadata: dict[str, Any]
    damaged: tuple[DamagedCheckpoint, ...] = ()


class NotSaved(Exception):
    """A checkpoint could not be written; earlier checkpoints are unchanged."""


class _Unreadable(Exception):
    """The reason why a checkpoint cannot be read."""


@contextlib.contextmanager
def open_manager(
    folder: Path, keep: int, *, best: int = 0, always: Sequence[int] = ()
) -> Iterator[Manager]:
    """Opens Orbax's manager of a folder, which saves in the background.

    The end of the block waits until the last checkpoint is written.

    Args:
      keep: number of newest checkpoints to keep.
      best: number of checkpoints with the lowest top-1 error to keep as well.
      always: steps whose checkpoints are never removed.

    Raises:
      NotSaved: a checkpoint cannot be written.
    """
    policies = [
        preservation_policy.LatestN(keep),
        preservation_policy.CustomSteps(always),
    ]
    if best:
        policies.append(_Best(best, _saved_errors(folder)))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(policies),
        cleanup_tmp_directories=True,
    )
    with _quiet():
        manager = Manager(folder.absolute(), options=options)
        try:
            yield manager
        finally:
            _write(folder, manager.close)


@dataclasses.dataclass(frozen=True)
class _Best:
    """Keeps the checkpoints with the lowest errors; `before` has those of earlier runs
    of the process by step.
    """

    count: int
    before: dict[int, float]

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        errors = self.before | {
            c.step: c.metrics['top_1_error'] for c in checkpoints if c.metrics
        }
        known = (c.step for c in checkpoints if c.step in errors)
        best = sorted(known, key=lambda step: (errors[step], -step))[: self.count]
        return [c.step in best for c in checkpoints]


def _saved_errors(folder: Path) -> dict[int, float]:
    """Returns the top-1 errors that checkpoints were saved with, by step."""
    if not (steps := checkpoint_steps(folder)):
        return {}
    errors = {}
    with _quiet(), Manager(folder.absolute()) as manager:
        for step in steps:
            with contextlib.suppress(_Unreadable):
                metadata = _restore_item(manager, step, about=ocp.args.JsonRestore())
                errors[step] = metadata.get('top_1_error')
    return {step: error for step, error in errors.items() if error is not None}


def save_checkpoint(
    manager: Manager,
    state: TrainState,
    metadata: dict,
    top_1_error: float | None = None,
) -> None:
    """Starts to save the state under its step, with its error if it was evaluated.

    Raises:
      NotSaved: this checkpoint or the one before it cannot be written.
    """
    metadata = metadata | {
        'form': structure_checksum(state),
        'sums': content_checksums(state),
        'top_1_error': top_1_error,
    }
    metadata['sums']['about'] = json_checksum(metadata)
    _write(
        Path(manager.directory),
        manager.save,
        int(state.step),
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(metadata)
        ),
        metrics=None if top_1_error is None else {'top_1_error': top_1_error},
    )


def _write(folder: Path, function: Callable, *arguments, **options) -> None:
    """Calls a function of Orbax that writes to a folder."""
    try:
        function(*arguments, **options)
        return
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        reason = _reason(error)
    _collect_abandoned()
    raise NotSaved(f'no checkpoint could be written to {folder} ({reason})')


def restore_checkpoint(
    folder: Path,
    like: TrainState,
    accept: Callable[[Mapping], None],
    at: int | None = None,
) -> Saved | None:
    """Returns the newest checkpoint that can be read, None if there is no checkpoint.

    Args:
      like: a state, or its shapes, with the structure and the devices of the result.
      accept: raises ValueError if the metadata is that of another run.
      at: a step; later checkpoints are ignored.

    Raises:
      ValueError: no checkpoint can be read, the checkpoint belongs to another run, or
        its arrays are not those of `like`.
    """
    if not folder.is_dir():
        return None  # Orbax would create it.
    damaged = []
    with _quiet(), Manager(folder.absolute()) as manager:
        for step in _newest_first(manager, at):
            try:
                state, metadata = _read(manager, step, like, accept)
                return Saved(state, metadata, tuple(damaged))
            except _Unreadable as error:
                damaged.append(DamagedCheckpoint(folder / str(step), str(error)))
    if damaged:
        reasons = '; '.join(f'{d.path.name}: {d.reason}' for d in damaged)
        raise ValueError(
            f'no checkpoint in {folder} can be read ({reasons}); restore one from a '
            'copy, or start a new run in another folder'
        )
    return None


def _newest_first(manager: Manager, at: int | None) -> Iterator[int]:
    """Yields the steps with a checkpoint, as the first of all processes sees them."""
    below = math.inf if at is None else at + 1
    while True:
        steps = (step for step in manager.all_steps() if step < below)
        below = processes.agree(max(steps, default=-1))
        if below < 0:
            return
        yield below


def _read(manager: Manager, step: int, like: TrainState, accept: Callable):
    """Returns state and metadata; reads the metadata first, to check the run."""
    metadata = _restore_item(manager, step, about=ocp.args.JsonRestore())
    if not isinstance(metadata, Mapping):
        raise _Unreadable('its metadata is missing')
    checksums = metadata.get('sums', {})
    if 'about' in checksums and checksums['about'] != json_checksum(metadata):
        raise _Unreadable('its metadata is not what was written')
    accept(metadata)
    structure = structure_checksum(like)
    if metadata.get('form', structure) != structure:
        version = metadata['run']['inception_jax']
        raise ValueError(
            f'the checkpoint {manager.directory / str(step)} was written by '
            f'inception_jax {version}, whose state has other arrays; resume the run '
            'with that version, or start a new run in another folder'
        )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    state = _restore_item(manager, step, state=ocp.args.StandardRestore(abstract))
    for name, checksum in content_checksums(state).items():
        if checksums.get(name, checksum) != checksum:
            raise _Unreadable(f'its {name} is not what was written')
    if int(state.step) != step:
        raise _Unreadable(f'it holds the state of step {int(state.step)}')
    return state, metadata


def _restore_item(manager: Manager, step: int, **item) -> Any:
    """Returns one item of a checkpoint, given as its name and how to read it."""
    try:
        (value,) = manager.restore(step, args=ocp.args.Composite(**item)).values()
        return value
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        if 'sync_global_devices' in str(error):
            raise ValueError(
                'the processes do not read the same checkpoints in '
                f'{manager.directory}; make sure that all see the same files, then '
                'start all again'
            ) from error
        reason = _reason(error)
    _collect_abandoned()
    raise _Unreadable(reason)


def _reason(error: Exception) -> str:
    return first_line(error).split(' See full TensorStore details')[0][:200]


def _collect_abandoned() -> None:
    """Waits for the threads and collects the coroutines that Orbax left after an error.

    They complain when they end. Call it while that is silenced, and when nothing refers
    to the error and its traceback any more.
    """
    for thread in threading.enumerate():
        if type(thread).__module__.startswith('orbax.'):
            # Orbax's own `join` raises the error of the thread.
            threading.Thread.join(thread, LONGEST_WAIT)
    gc.collect()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Orbax in the block; an error of Orbax becomes one line of ours.

    The end of the block restores everything that it changes in the process.
    """
    logger = logging.getLogger('absl')
    level = logger.level
    hook, new_event_loop = sys.unraisablehook, asyncio.new_event_loop

    def ignore_coroutines(unraisable) -> None:
        if not inspect.iscoroutine(unraisable.object):
            hook(unraisable)

    with warnings.catch_warnings():
        warnings.filterwarnings(
            'ignore', 'coroutine .* was never awaited', RuntimeWarning
        )
        logger.setLevel(logging.CRITICAL)
        sys.unraisablehook = ignore_coroutines
        asyncio.new_event_loop = lambda: _quiet_loop(new_event_loop())
        try:
            yield
        finally:
            asyncio.new_event_loop = new_event_loop
            sys.unraisablehook = hook
            logger.setLevel(level)


def _quiet_loop(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    """Makes an event loop cancel its tasks when it closes, as `asyncio.run` does.

    Orbax closes its loop after an error although TensorStore still reads or writes, and
    the end of such an operation calls the loop at any later time. Errors and coroutines
    of tasks that nobody waits for are dropped in silence.
    """
    loop.set_exception_handler(lambda *_: None)
    close = loop.close

    def cancel_and_close() -> None:
        if tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=LONGEST_WAIT))
        close()

    loop.close = cancel_and_close
    call_soon = loop.call_soon_threadsafe

    def call_soon_if_open(*arguments, **options):
        try:
            return call_soon(*arguments, **options)
        except RuntimeError:
            if not loop.is_closed():
                raise

    loop.call_soon_threadsafe = call_soon_if_open
    return loop
