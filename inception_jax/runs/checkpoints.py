"""Checkpoints of a run: the whole state and what else is needed to go on exactly.

Each has check sums of its content, since Orbax returns a flipped bit as it finds it.
"""

import contextlib
import dataclasses
import inspect
import logging
import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as keeping

from inception_jax.runs.checksums import _form, _sum_of_json, _sums
from inception_jax.runtime import processes
from inception_jax.steps.state import TrainState

Manager = ocp.CheckpointManager


class Damage(NamedTuple):
    """A checkpoint that cannot be read, and why."""

    path: Path
    reason: str


class Saved(NamedTuple):
    """A checkpoint. `about` is JSON: whose it is, the verdict, the last metrics.

    `damaged` are newer ones, which cannot be read.
    """

    state: TrainState
    about: dict[str, Any]
    damaged: tuple[Damage, ...] = ()


class NotSaved(Exception):
    """A checkpoint could not be written; those before it are as they were."""


class _Unreadable(Exception):
    """Why a checkpoint cannot be read."""


@contextlib.contextmanager
def open_manager(
    folder: Path, keep: int, *, best: int = 0, always: Sequence[int] = ()
) -> Iterator[Manager]:
    """Opens Orbax's manager of a folder: asynchronous, with the last `keep` kept.

    The `best` by top-1 error, of those saved with one, and the steps `always` are kept
    as well. At the end what is being written is waited for.

    Raises:
      NotSaved: it cannot be written.
    """
    policies = [keeping.LatestN(keep), keeping.CustomSteps(always)]
    if best:
        policies.append(_Best(best, _errors(folder)))
    options = ocp.CheckpointManagerOptions(
        preservation_policy=keeping.AnyPreservationPolicy(policies),
        cleanup_tmp_directories=True,
    )
    with _quiet():
        one = Manager(folder.absolute(), options=options)
        try:
            yield one
        finally:
            with _saving(folder):
                one.close()


@dataclasses.dataclass(frozen=True)
class _Best:
    """Keeps the checkpoints of the least errors; `before` are those of earlier ones."""

    count: int
    before: dict[int, float]

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        errors = self.before | {
            c.step: c.metrics['top_1_error'] for c in checkpoints if c.metrics
        }
        known = (c.step for c in checkpoints if c.step in errors)
        best = sorted(known, key=lambda step: (errors[step], -step))[: self.count]
        return [c.step in best for c in checkpoints]


def _errors(folder: Path) -> dict[int, float]:
    """Returns the errors of the checkpoints that were saved with one."""
    if not folder.exists():
        return {}
    errors = {}
    with _quiet(), Manager(folder.absolute()) as manager:
        for step in manager.all_steps():
            with contextlib.suppress(_Unreadable):
                (about,) = _item(manager, step, about=ocp.args.JsonRestore())
                errors[step] = about.get('top_1_error')
    return {step: error for step, error in errors.items() if error is not None}


def save_checkpoint(
    manager: Manager, state: TrainState, about: dict, top_1_error: float | None = None
) -> None:
    """Starts to save the state under its step, with its error if it was evaluated.

    Raises:
      NotSaved: it cannot be written, or the one before it could not.
    """
    own = {'form': _form(state), 'sums': _sums(state), 'top_1_error': top_1_error}
    about = about | own
    about['sums']['about'] = _sum_of_json(about)
    with _saving(Path(manager.directory)):
        manager.save(
            int(state.step),
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about)
            ),
            metrics=None if top_1_error is None else {'top_1_error': top_1_error},
        )


@contextlib.contextmanager
def _saving(folder: Path) -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        raise NotSaved(
            f'no checkpoint could be written to {folder} ({_first_line(error)})'
        ) from error


def checkpoint_steps(folder: Path) -> list[int]:
    """Lists the steps that have a checkpoint."""
    if not folder.exists():
        return []
    with Manager(folder.absolute()) as manager:
        return list(manager.all_steps())


def restore_checkpoint(
    folder: Path,
    like: TrainState,
    accept: Callable[[Mapping], None],
    at: int | None = None,
) -> Saved | None:
    """Returns the newest checkpoint that can be read, in the places of `like`.

    With `at` it is the newest one up to that step. Returns None where there is none.

    Args:
      accept: raises ValueError if the content of `about` is not that of this run.

    Raises:
      ValueError: there are checkpoints and none can be read; or it is another run's, or
        its arrays are others than those of `like`.
    """
    damaged = []
    with _quiet(), Manager(folder.absolute()) as manager:
        for step in _newest_first(manager, at):
            try:
                state, about = _read(manager, step, like, accept)
                return Saved(state, about, tuple(damaged))
            except _Unreadable as error:
                damaged.append(Damage(folder / str(step), str(error)))
    if damaged:
        found = '; '.join(f'{d.path.name}: {d.reason}' for d in damaged)
        raise ValueError(
            f'no checkpoint in {folder} can be read ({found}); restore one from a '
            'copy, or use another --workdir to begin anew'
        )
    return None


def _newest_first(manager: Manager, at: int | None) -> Iterator[int]:
    """Yields the steps with a checkpoint that the first of all processes sees."""
    below = math.inf if at is None else at + 1
    while True:
        seen = (step for step in manager.all_steps() if step < below)
        below = processes.agree(max(seen, default=-1))
        if below < 0:
            return
        yield below


def _read(manager: Manager, step: int, like: TrainState, accept: Callable):
    """Returns state and about; `about` first, since it says whose the state is."""
    (about,) = _item(manager, step, about=ocp.args.JsonRestore())
    if not isinstance(about, Mapping):
        raise _Unreadable('it does not say whose it is')
    sums = about.get('sums', {})
    if 'about' in sums and sums['about'] != _sum_of_json(about):
        raise _Unreadable('what it says of itself is not what was written')
    accept(about)
    if about.get('form', _form(like)) != _form(like):
        version = about['run']['inception_jax']
        raise ValueError(
            f'the checkpoint {manager.directory / str(step)} was written by '
            f'inception_jax {version}, whose state has other arrays; go on with that '
            'version, or use another --workdir to begin anew'
        )
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    (state,) = _item(manager, step, state=ocp.args.StandardRestore(abstract))
    for name, found in _sums(state).items():
        if sums.get(name, found) != found:
            raise _Unreadable(f'its {name} is not what was written')
    if int(state.step) != step:
        raise _Unreadable(f'it is that of step {int(state.step)}')
    return state, about


def _item(manager: Manager, step: int, **wanted) -> Iterator:
    try:
        return manager.restore(step, args=ocp.args.Composite(**wanted)).values()
    except jax.errors.JaxRuntimeError:
        raise
    except Exception as error:
        if 'sync_global_devices' in str(error):
            raise ValueError(
                f'the processes do not read the same checkpoints in '
                f'{manager.directory}; see that all see the same files, then start all '
                'again'
            ) from error
        raise _Unreadable(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    return first.split(' See full TensorStore details')[0][:200]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what Orbax says of an error that becomes one line of ours."""
    logger = logging.getLogger('absl')
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    # Not put back: its threads and what they leave behind end when they like.
    sys.unraisablehook = _others_only
    logging.getLogger('asyncio').setLevel(logging.CRITICAL)
    warnings.filterwarnings('ignore', 'coroutine .* was never awaited', RuntimeWarning)
    try:
        yield
    finally:
        logger.setLevel(level)


def _others_only(unraisable, others=sys.unraisablehook) -> None:
    """Tells of an error in a thread, but not of reads that nobody waits for."""
    left = 'Event loop is closed' in str(unraisable.exc_value)
    if not left and not inspect.iscoroutine(unraisable.object):
        others(unraisable)
