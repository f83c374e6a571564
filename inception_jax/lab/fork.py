"""What a run was at any of its steps: exact, since a step is a function of its state.

From any step one can go on otherwise (`Fork`), or look closely again (`replay`).
"""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import override, resolve, value_at
from inception_jax.parallel.mesh import distribute
from inception_jax.runs import checkpoints
from inception_jax.runs.records import read_records, write_records
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import claim_workdir
from inception_jax.runtime.files import write_json
from inception_jax.training.prepare import PreparedRun, prepare
from inception_jax.training.resume import checkpoint_metadata
from inception_jax.training.states import check_run_step, state_at


class Fork(NamedTuple):
    """A run, the one that it goes on from, and what lineage.json says of it."""

    parent: PreparedRun
    child: PreparedRun
    lineage: dict[str, Any]


def plan_fork(
    parent: PreparedRun, step: int, changes: Mapping[str, Any], into: Path
) -> Fork:
    """Returns a run that goes on from a step of another one with other numbers.

    It is not made yet; `into` may hold it already.

    Raises:
      ValueError: the step is not one of the parent's, a change is not of a number in
        `hparams` or of `run.epochs`, or the folder holds something else.
    """
    check_run_step(parent, step)
    config = parent.experiment.config
    changes = {resolve(config, name): value for name, value in changes.items()}
    for name in changes:
        if not name.startswith('hparams.') and name != 'run.epochs':
            raise ValueError(
                f'config.{name} cannot change in a fork; only numbers of '
                'config.hparams and config.run.epochs can'
            )
    chosen = experiment(override(config, changes))
    child = prepare(chosen, into, weights=parent.identity['weights'])
    lineage = {
        'parent': str(parent.workdir.resolve()),
        'step': step,
        'changes': {
            name: [value_at(config, name), new] for name, new in changes.items()
        },
        'lineage': Run(parent.workdir).lineage,
    }
    if into.exists() and Run(into).lineage != json.loads(json.dumps(lineage)):
        raise ValueError(
            f'{into} is there and is not this fork; name another folder --into'
        )
    if step >= child.steps:
        raise ValueError(
            f'step {step} leaves nothing of the {child.steps} steps; fork earlier, or '
            'raise run.epochs with --hparam run.epochs=...'
        )
    return Fork(parent, child, lineage)


def make_fork(fork: Fork) -> None:
    """Makes the folder of a fork, in one piece: its numbers, and the parent's past.

    It begins with the records of the parent up to that step and the state at it.
    """
    parent, child, lineage = fork
    draft = _draft(child)
    state, seen = state_at(parent, lineage['step'])
    state = dataclasses.replace(state, hparams=distribute(child.hparams, child.mesh))
    _write(draft, lineage, child, read_records(parent.workdir), state, seen)


def _draft(child: PreparedRun) -> Path:
    """Makes an empty folder beside the place of a fork, where it is put together."""
    draft = child.workdir.with_name(f'.{child.workdir.name}.forking')
    shutil.rmtree(draft, ignore_errors=True)
    claim_workdir(draft, child.identity, child.train_source.class_names)
    return draft


def _write(draft, lineage, child, records, state, seen) -> None:
    """Puts a fork together and moves it to its place."""
    write_json(draft / 'lineage.json', lineage)
    kept = [r for r in records if r['step'] <= int(state.step)]
    write_records(draft / 'metrics.jsonl', kept)
    with checkpoints.open_manager(draft / 'checkpoints', 1) as manager:
        checkpoints.save_checkpoint(manager, state, checkpoint_metadata(child, seen))
    draft.rename(child.workdir)
