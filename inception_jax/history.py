"""What a run was at any of its steps: exact, since a step is a function of its state.

From any step one can go on otherwise (`Fork`), or look closely again (`replay`).
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import at, override, resolve
from inception_jax.observe import Seen, diagnoses, observe, scalars, summarise
from inception_jax.parallel.mesh import mesh
from inception_jax.prepare import Prepared, prepare
from inception_jax.programs import programs
from inception_jax.resume import about, accepts, newest
from inception_jax.runs import checkpoints
from inception_jax.runs import records as logs
from inception_jax.runs import workdir as workdirs
from inception_jax.runtime.files import write_json
from inception_jax.steps.train_step.state import TrainState
from inception_jax.train import stream

# What a clock says differs from run to run.
CLOCKS = frozenset({'images_per_second', 'seconds_left'})


class Replay(NamedTuple):
    """What a replay found: where it wrote, how many records of the run it could compare
    with its own, those that differ, and whether its last state is that of the
    checkpoint, None without one.
    """

    path: Path
    records: int
    different: list[logs.Record]
    same_state: bool | None


class Fork(NamedTuple):
    """A run, the one that it goes on from, and what lineage.json says of it."""

    parent: Prepared
    child: Prepared
    lineage: dict[str, Any]


def opened(workdir: Path) -> Prepared:
    """Prepares the run of a folder, by its own config.

    Raises:
      ValueError: there is no run.
    """
    return prepare(experiment(workdirs.config(workdir)), workdir)


def state_at(p: Prepared, step: int) -> tuple[TrainState, Seen]:
    """Returns the state after `step` updates, and what was seen by then.

    It comes from the newest checkpoint up to that step, or from the beginning, by the
    run's own steps.

    Raises:
      ValueError: the run has not come so far, or began later as a fork.
    """
    check_step(p, step)
    state, seen = newest(p, at=step)
    logged = {record['step'] for record in logs.read(p.workdir, 'train')}
    for done, after, metrics in steps_after(p, state, step):
        state, seen = after, observe(p, seen, [(done, metrics)])
        if done in logged:
            seen = seen._replace(interval=[])
    return state, seen


def steps_after(
    p: Prepared, state: TrainState, last: int, *, diagnosed: bool = False
) -> Iterator[tuple[int, TrainState, dict[str, Any]]]:
    """Yields (step, state, metrics) of the steps up to `last`; each takes the state."""
    steps = programs(p).steps
    step = steps.diagnosed_step if diagnosed else steps.step
    first = int(state.step)
    batches = stream(p, start=first)
    for done in range(first + 1, last + 1):
        state, metrics = step(state, mesh.place(next(batches), p.mesh))
        yield done, state, jax.device_get(metrics)


def planned(
    parent: Prepared, step: int, changes: Mapping[str, Any], into: Path
) -> Fork:
    """Returns a run that goes on from a step of another one with other numbers.

    It is not made yet; `into` may hold it already.

    Raises:
      ValueError: the step is not one of the parent's, a change is not of a number in
        `hparams` or of `run.epochs`, or the folder holds something else.
    """
    check_step(parent, step)
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
        'changes': {name: [at(config, name), new] for name, new in changes.items()},
        'lineage': workdirs.lineage(parent.workdir),
    }
    if into.exists() and workdirs.lineage(into) != json.loads(json.dumps(lineage)):
        raise ValueError(
            f'{into} is there and is not this fork; name another folder --into'
        )
    if step >= child.steps:
        raise ValueError(
            f'step {step} leaves nothing of the {child.steps} steps; fork earlier, or '
            'raise run.epochs with --hparam run.epochs=...'
        )
    return Fork(parent, child, lineage)


def make(fork: Fork) -> None:
    """Makes the folder of a fork, in one piece: its numbers, and the parent's past.

    It begins with the records of the parent up to that step and the state at it.
    """
    parent, child, lineage = fork
    draft = _draft(child)
    state, seen = state_at(parent, lineage['step'])
    state = dataclasses.replace(state, hparams=mesh.spread(child.hparams, child.mesh))
    _write(draft, lineage, child, logs.read(parent.workdir), state, seen)


def _draft(child: Prepared) -> Path:
    """Makes an empty folder beside the place of a fork, where it is put together."""
    draft = child.workdir.with_name(f'.{child.workdir.name}.forking')
    shutil.rmtree(draft, ignore_errors=True)
    workdirs.claim(draft, child.identity, child.train_source.class_names)
    return draft


def _write(draft, lineage, child, records, state, seen) -> None:
    """Puts a fork together and moves it to its place."""
    write_json(draft / 'lineage.json', lineage)
    kept = [r for r in records if r['step'] <= int(state.step)]
    logs.save(draft / 'metrics.jsonl', kept)
    with checkpoints.manager(draft / 'checkpoints', 1) as manager:
        checkpoints.save(manager, state, about(child, seen))
    draft.rename(child.workdir)


def replay(p: Prepared, first: int, last: int) -> Replay:
    """Makes the steps after `first` up to `last` again, with diagnostics on each.

    They are written to replay-first-last.jsonl, and what the run recorded in these
    steps is compared.

    Raises:
      ValueError: the steps are not ones of the run.
    """
    check_step(p, last)
    state, _ = state_at(p, first)
    recorded = [r for r in logs.read(p.workdir) if first < r['step'] <= last]
    logged = {r['step'] for r in recorded if r['split'] == 'train'}
    looked, made = [], {}
    interval, whole = [], _begins_interval(p, first)
    for done, after, metrics in steps_after(p, state, last, diagnosed=True):
        state = after
        looked += [
            {'split': 'diagnostics', **r} for r in diagnoses(p, [(done, metrics)])
        ]
        made['diagnostics', done] = looked[-1]
        interval.append(scalars(metrics))
        if done in logged:
            if whole:
                where = {'step': done, 'epoch': done / p.steps_per_epoch}
                made['train', done] = {
                    'split': 'train',
                    **where,
                    **summarise(interval, p.experiment.run.batch_size),
                }
            interval, whole = [], True
    path = p.workdir / f'replay-{first}-{last}.jsonl'
    logs.save(path, looked)
    pairs = [(r, made.get((r['split'], r['step']))) for r in recorded]
    found = [(record, again) for record, again in pairs if again]
    different = [record for record, again in found if not _same(record, again)]
    return Replay(path, len(found), different, _same_state(p, state))


def _same(record: logs.Record, again: logs.Record) -> bool:
    again = json.loads(logs.line(again))
    return {n: x for n, x in record.items() if n not in CLOCKS} == again


def _begins_interval(p: Prepared, step: int) -> bool:
    """Tells whether a record of training was written after the step."""
    return step == 0 or any(
        record['step'] == step for record in logs.read(p.workdir, 'train')
    )


def _same_state(p: Prepared, state: TrainState) -> bool | None:
    step = int(state.step)
    saved = checkpoints.restore(
        p.workdir / 'checkpoints', like=state, accept=accepts(p), at=step
    )
    if saved is None or int(saved.state.step) != step:
        return None

    def bits(x):
        typed = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if typed else x)

    def equal(x, y):
        return bits(x).tobytes() == bits(y).tobytes()

    # The numbers of a run that was made longer are other ones in older checkpoints.
    again = dataclasses.replace(state, hparams=saved.state.hparams)
    return all(jax.tree.leaves(jax.tree.map(equal, saved.state, again)))


def check_step(p: Prepared, step: int) -> None:
    """Raises ValueError unless the run in its folder has come to the step."""
    done = max([0, *_known_steps(p.workdir)])
    (begun,) = workdirs.origin(p.workdir) or (0,)
    if not begun <= step <= done:
        raise ValueError(
            f'step {step} is not one of the run in {p.workdir}, which has steps '
            f'{begun} to {done}'
        )


def _known_steps(workdir: Path) -> Iterator[int]:
    """Yields steps that a run is known to have made."""
    yield from (record['step'] for record in logs.read(workdir))
    yield from checkpoints.steps(workdir / 'checkpoints')
    if verdict := workdirs.verdict(workdir):
        yield verdict['steps_done']
