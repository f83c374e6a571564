"""Forks: runs that continue from a step of another run with other numbers."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import override, resolve, value_at
from inception_jax.lab.edits import Change, is_edit, state_change
from inception_jax.parallel.mesh import distribute
from inception_jax.runs import checkpoints
from inception_jax.runs.lock import WorkdirInUse, lock_workdir
from inception_jax.runs.records import read_records, start_records
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import LINEAGE, claim_workdir
from inception_jax.runtime.files import write_json
from inception_jax.runtime.paths import local_path
from inception_jax.training.failures import outside_errors_as_stopped
from inception_jax.training.loop import Outcome
from inception_jax.training.prepare import PreparedRun, prepare
from inception_jax.training.resume import checkpoint_metadata
from inception_jax.training.run import pass_signal_on, start_run
from inception_jax.training.states import (
    AnyRun,
    check_run_step,
    open_run,
    state_and_progress_at,
)

# The fields of a config that a fork may change beside those of `hparams`. None of them
# changes the arrays of the state.
FREE = (
    'run.epochs',
    'recipe.rate_factors',
    'recipe.clip',
    'recipe.schedule',
    'recipe.batch_norm_decay',
)


def fork(
    run: AnyRun,
    /,
    step: int,
    into: str | Path,
    *,
    edits: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Run:
    """Continues from a step of a run with other numbers, in a folder of its own.

    The fork begins with the records of its parent up to that step. Without changes it
    ends bit-identical to its parent. The same call resumes a fork that was stopped.

    Args:
      run: the parent, or its folder.
      step: the number of updates after which the fork begins.
      into: the folder of the fork.
      edits: changes of the state at this step (`lab.edits`), such as
        `{'momentum_buffer.logits': 0}` or `{'params.c_5': 'init'}`.
      **changes: numbers of `hparams`, as `residual_scale=0.1`; `run.epochs`; and
        `rate_factors`, `clip`, `schedule` and `batch_norm_decay` of `recipe`.

    Returns:
      The fork on disk, a `Run`.

    Raises:
      ValueError: the parent has no such step, a change is of another field, an edit is
        wrong, or the folder holds something else.

    >>> fork('runs/unscaled', step=45, into='runs/saved',
    ...      residual_scale=0.1)  # doctest: +SKIP
    >>> fork('no_such_folder', step=45, into='runs/saved')
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a run with train
    """
    into = local_path(into)
    work = start_fork(open_run(run), step, into, changes | dict(edits or {}))
    pass_signal_on(work().signal)
    return Run(into)


def start_fork(
    parent: PreparedRun,
    step: int,
    into: Path,
    changes: Mapping[str, Any],
    *,
    say: Callable[[str], None] | None = None,
) -> Callable[[], Outcome]:
    """Checks a fork; returns the function that makes it, if need be, and trains it.

    `changes` has fields of the config and edits of the state. `say` prints as in
    `training.run.start_run`.

    Raises:
      ValueError: as in `fork`, or the fork that is there cannot resume.
    """
    edits = {name: value for name, value in changes.items() if is_edit(name)}
    fields = {name: x for name, x in changes.items() if name not in edits}
    child, lineage = _plan(parent, step, into, fields, edits)
    if into.exists():
        return start_run(child, say=say)
    change = state_change(parent, edits)
    draft = into.with_name(f'.{into.name}.forking')
    try:
        lock = lock_workdir(draft)
    except WorkdirInUse as error:
        raise ValueError(
            f'another process is making the fork {into}; wait until it trains, or '
            'choose another folder (--into)'
        ) from error

    def make_and_train() -> Outcome:
        with lock, outside_errors_as_stopped():
            _make(parent, child, draft, lineage, change)
        return start_run(child, say=say)()

    return make_and_train


def _plan(
    parent: PreparedRun,
    step: int,
    into: Path,
    changes: Mapping[str, Any],
    edits: Mapping[str, Any],
) -> tuple[PreparedRun, dict[str, Any]]:
    """Returns the fork, which may be there already, and its lineage."""
    check_run_step(parent, step)
    config = parent.experiment.config
    changes = {resolve(config, name): value for name, value in changes.items()}
    for name in changes:
        if not name.startswith('hparams.') and name not in FREE:
            raise ValueError(
                f'config.{name} cannot change in a fork; only numbers of '
                f'config.hparams, and {", ".join(FREE)} can'
            )
    child = prepare(
        experiment(override(config, changes)),
        into,
        initial_weights=parent.identity['weights'],
    )
    lineage = {
        'parent': str(parent.workdir.resolve()),
        'step': step,
        'changes': {
            **{name: [value_at(config, name), new] for name, new in changes.items()},
            **{name: [None, value] for name, value in edits.items()},
        },
        'lineage': Run(parent.workdir).lineage,
    }
    if into.exists() and Run(into).lineage != json.loads(json.dumps(lineage)):
        raise ValueError(
            f'{into} exists and is not this fork; choose another folder (--into)'
        )
    if step >= child.steps:
        raise ValueError(
            f'step {step} leaves no step of the {child.steps} to train; fork earlier, '
            'or raise run.epochs (--set run.epochs=...)'
        )
    return child, lineage


def _make(
    parent: PreparedRun,
    child: PreparedRun,
    draft: Path,
    lineage: dict[str, Any],
    change: Change,
) -> None:
    """Writes the folder of a fork under another name and renames it when complete.

    The draft is locked, and may hold what a killed process has left.
    """
    shutil.rmtree(draft / 'checkpoints', ignore_errors=True)
    claim_workdir(draft, child.identity, child.train_source.class_names)
    state, progress = state_and_progress_at(parent, lineage['step'])
    hparams = distribute(child.hparams, child.mesh)
    state = dataclasses.replace(change(state), hparams=hparams)
    write_json(draft / LINEAGE, lineage)
    records = read_records(parent.workdir)
    before = [r for r in records if r['step'] <= lineage['step']]
    start_records(draft, before)
    with checkpoints.open_manager(draft / 'checkpoints', 1) as manager:
        metadata = checkpoint_metadata(child, progress)
        checkpoints.save_checkpoint(manager, state, metadata)
    draft.rename(child.workdir)
