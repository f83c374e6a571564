"""The state in which a run starts or resumes, and the metadata that a resume needs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inception_jax.parallel.mesh import distribute, sharded_shapes
from inception_jax.runs import checkpoints
from inception_jax.runs.identity import check_same_run
from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run, fork_step, is_ended, steps_done
from inception_jax.runs.workdir import (
    claim_workdir,
    clear_outcome,
    move_to_damaged,
)
from inception_jax.runtime import processes
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import warn
from inception_jax.stability.verdicts import Verdict, VerdictState, judge_records
from inception_jax.steps.state import TrainState, initial_state
from inception_jax.training.initial_weights import load_initial_weights
from inception_jax.training.observe import RunProgress
from inception_jax.training.prepare import PreparedRun


def start_or_resume(run: PreparedRun) -> tuple[TrainState, RunProgress]:
    """Claims the workdir; returns its newest checkpoint, or the state before step 1.

    Checkpoints that cannot be read are moved to `damaged/`, and the run resumes from
    the newest one that can be read.

    Raises:
      ValueError: the checkpoints are missing, none can be read, they belong to another
        run, the records cannot be read, or the workdir cannot be written.
    """
    if processes.is_first():
        _check_checkpoints_exist(run.workdir)
    state, progress, damaged = _restore_or_initialize(run)
    step = int(state.step)
    if step > run.steps:
        raise ValueError(
            f'the run in {run.workdir} is at step {step}, beyond the '
            f'{counted(run.steps, "step")} of config.run.epochs; raise it'
        )
    if not processes.is_first():
        return state, progress
    claim_workdir(run.workdir, run.identity, run.train_source.class_names)
    for path, reason in damaged:
        moved = move_to_damaged(path)
        warn(
            f'the checkpoint {path} cannot be read ({reason}) and was moved to '
            f'{moved}; the run resumes from step {step}'
        )
    if not damaged and step < (done := steps_done(run.workdir)):
        warn(
            f'the run has made {counted(done, "step")}, and its newest checkpoint is '
            f'of step {step}; the run resumes from step {step}'
        )
    clear_outcome(run.workdir)
    return state, progress


def _check_checkpoints_exist(workdir: Path) -> None:
    """Raises ValueError if a run has made steps and somebody removed its checkpoints.

    A run that was killed before its first checkpoint has an empty folder of
    checkpoints, and starts again. So does one that diverged before it.
    """
    records = read_records(workdir)
    if fork_step(workdir) is not None:
        return  # A fork has a checkpoint from its start; its own message follows.
    if _has_diverged(workdir):
        return
    removed = records and not (workdir / 'checkpoints').is_dir()
    if removed or (steps_done(workdir) and not Run(workdir).checkpoints):
        raise ValueError(
            f'the run in {workdir} has made steps, and its checkpoints are missing; '
            f'restore {workdir / "checkpoints"} from a copy, or start a new run in '
            'another folder'
        )


def _has_diverged(workdir: Path) -> bool:
    """Whether a run ended because it diverged; such a state is not saved."""
    outcome = Run(workdir).readable_outcome
    return bool(outcome) and outcome['verdict'] == 'diverged' and is_ended(outcome)


def newest_checkpoint(run: PreparedRun) -> TrainState:
    """Returns the state of the newest checkpoint of a run.

    Raises:
      ValueError: there is no checkpoint, the newest one is missing or cannot be read,
        or the checkpoints belong to another run.
    """
    if not Run(run.workdir).checkpoints:
        raise ValueError(
            f'the run in {run.workdir} has no checkpoint; restore its checkpoints from '
            'a copy, or train it until it saves one'
        )
    state, _, damaged = _restore_or_initialize(run)
    step = int(state.step)
    problem = None
    if damaged:
        problem = f'the checkpoint {damaged[0].path} cannot be read'
        problem += f' ({damaged[0].reason})'
    elif step < (done := steps_done(run.workdir)):
        problem = f'the run in {run.workdir} has made {counted(done, "step")}, and '
        problem += (
            'diverged: its last state was not saved'
            if _has_diverged(run.workdir)
            else 'the checkpoint of its last step is missing'
        )
    if problem:
        raise ValueError(
            f'{problem}; name step {step} (--step {step}) to use its checkpoint, or '
            'resume the run with train'
        )
    return state


def state_up_to(run: PreparedRun, step: int) -> tuple[TrainState, RunProgress]:
    """Returns the newest checkpoint up to a step, or the state before step 1.

    Raises:
      ValueError: no checkpoint can be read, or the checkpoints belong to another run.
    """
    state, progress, _ = _restore_or_initialize(run, step)
    return state, progress


def _restore_or_initialize(
    run: PreparedRun, at: int | None = None
) -> tuple[TrainState, RunProgress, Sequence[checkpoints.DamagedCheckpoint]]:
    """Returns the newest state, and the newer checkpoints that cannot be read."""
    recipe, seed = run.experiment.recipe, run.experiment.run.seed
    state = initial_state(run.network, recipe, run.hparams, seed=seed)
    saved = checkpoints.restore_checkpoint(
        run.workdir / 'checkpoints',
        like=sharded_shapes(state, run.mesh),
        accept=accept_only(run),
        at=at,
    )
    if saved is not None:
        state = dataclasses.replace(saved.state, hparams=state.hparams)
        return state, _progress_in(run, saved.metadata, int(state.step)), saved.damaged
    if fork_step(run.workdir) is not None:
        raise ValueError(
            f'{run.workdir} is a fork, and its checkpoints are gone; fork again into '
            'another folder'
        )
    if digest := run.identity.get('weights'):
        variables = load_initial_weights(recipe, digest, state.variables)
        state = dataclasses.replace(state, **variables, ema=variables)
    return distribute(state, run.mesh), RunProgress(VerdictState(), []), ()


def _progress_in(run: PreparedRun, metadata: Mapping, step: int) -> RunProgress:
    watch = metadata['watch']
    verdict = Verdict(**watch['verdict'])
    if 'onset' not in watch['verdict'] and verdict.verdict != 'diverged':
        # A checkpoint of an older version, which knew no dates of silence.
        records = [r for r in read_records(run.workdir, 'train') if r['step'] <= step]
        verdict = judge_records(records, run.experiment.verdicts).verdict
    verdict_state = VerdictState(
        verdict, tuple(watch['shares']), watch.get('skipped', 0)
    )
    return RunProgress(verdict_state, metadata['interval'])


def accept_only(run: PreparedRun) -> Callable[[Mapping], None]:
    """Returns a function that raises ValueError for a checkpoint of another run."""
    return lambda metadata: check_same_run(run.workdir, metadata['run'], run.identity)


def checkpoint_metadata(run: PreparedRun, progress: RunProgress) -> dict:
    """Returns the JSON that a checkpoint holds beside the state.

    The position in the data needs no field: the stream is a function of the step.
    """
    return {
        'run': run.identity,
        'watch': dataclasses.asdict(progress.verdict_state),
        'interval': progress.unlogged,
    }
