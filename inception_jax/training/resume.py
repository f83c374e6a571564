"""From a workdir to the state from which its run goes on, and what that state needs."""

import dataclasses
from collections.abc import Callable, Mapping

from inception_jax.parallel.mesh import distribute, sharded_shapes
from inception_jax.runs import checkpoints
from inception_jax.runs.identity import check_same_run
from inception_jax.runs.records import read_records
from inception_jax.runs.run import fork_step
from inception_jax.runs.workdir import (
    claim_workdir,
    clear_outcome,
    move_to_damaged,
)
from inception_jax.runtime import processes
from inception_jax.runtime.messages import warn
from inception_jax.stability.verdicts import Verdict, VerdictState
from inception_jax.steps.state import TrainState, initial_state
from inception_jax.training.initial_weights import load_initial_weights
from inception_jax.training.observe import RunProgress
from inception_jax.training.prepare import PreparedRun


def start_or_resume(p: PreparedRun) -> tuple[TrainState, RunProgress]:
    """Claims the workdir and returns its newest checkpoint, or the state before step 1.

    Checkpoints that cannot be read are set aside, and the run goes on from the newest
    that can.

    Raises:
      ValueError: no checkpoint can be read or it is another run's, the records cannot
        be read, or the workdir cannot be written.
    """
    read_records(p.workdir)
    state, seen, damaged = _restored(p)
    if int(state.step) > p.steps:
        raise ValueError(
            f'the run in {p.workdir} is at step {int(state.step)}, beyond the '
            f'{p.steps} steps of config.run.epochs; raise it'
        )
    if not processes.is_first():
        return state, seen
    claim_workdir(p.workdir, p.identity, p.train_source.class_names)
    for path, reason in damaged:
        place = move_to_damaged(path)
        warn(
            f'the checkpoint {path} cannot be read ({reason}); it is now {place}, and '
            f'the run goes on from step {int(state.step)}'
        )
    clear_outcome(p.workdir)
    return state, seen


def newest_state(
    p: PreparedRun, at: int | None = None
) -> tuple[TrainState, RunProgress]:
    """Returns the newest checkpoint, up to the step `at`, or the state before step 1.

    Raises:
      ValueError: no checkpoint can be read, or it is another run's.
    """
    return _restored(p, at)[:2]


def _restored(p: PreparedRun, at: int | None = None):
    """Returns what `newest` does, and the newer checkpoints that cannot be read."""
    state = initial_state(
        p.network, p.experiment.recipe, p.hparams, seed=p.experiment.run.seed
    )
    saved = checkpoints.restore_checkpoint(
        p.workdir / 'checkpoints',
        like=sharded_shapes(state, p.mesh),
        accept=accept_only(p),
        at=at,
    )
    if saved is None and fork_step(p.workdir):
        raise ValueError(
            f'{p.workdir} is a fork and its checkpoints are gone; make it again with '
            'fork, into another folder'
        )
    if saved is None:
        if digest := p.identity.get('weights'):
            drawn = {'params': state.params, 'batch_stats': state.batch_stats}
            variables = load_initial_weights(p.experiment.recipe, digest, drawn)
            state = dataclasses.replace(state, **variables, ema=variables)
        return distribute(state, p.mesh), RunProgress(VerdictState(), []), ()
    watch = saved.metadata['watch']
    watch = VerdictState(
        Verdict(**watch['verdict']), tuple(watch['shares']), watch.get('skipped', 0)
    )
    state = dataclasses.replace(saved.state, hparams=state.hparams)
    return state, RunProgress(watch, saved.metadata['interval']), saved.damaged


def accept_only(p: PreparedRun) -> Callable[[Mapping], None]:
    """Returns what raises ValueError for a checkpoint of another run."""
    return lambda about: check_same_run(p.workdir, about['run'], p.identity)


def checkpoint_metadata(p: PreparedRun, seen: RunProgress) -> dict:
    """Returns what a checkpoint holds beside the state.

    The position in the data is the state's step: the stream is a function of it.
    """
    return {
        'run': p.identity,
        'watch': dataclasses.asdict(seen.watch),
        'interval': seen.interval,
    }
