"""Steps of a run made again, with diagnostics on each."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from inception_jax.runs import checkpoints
from inception_jax.runs.records import Record, read_records, record_line, write_records
from inception_jax.steps.state import TrainState
from inception_jax.training.observe import diagnoses, scalars, summarise
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.resume import accept_only
from inception_jax.training.states import check_run_step, replay_steps, state_at

# What a clock says differs from run to run.
CLOCKS = frozenset({'images_per_second', 'seconds_left'})


class Replay(NamedTuple):
    """What a replay found: where it wrote, how many records of the run it could compare
    with its own, those that differ, and whether its last state is that of the
    checkpoint, None without one.
    """

    path: Path
    records: int
    different: list[Record]
    same_state: bool | None


def replay(p: PreparedRun, first: int, last: int) -> Replay:
    """Makes the steps after `first` up to `last` again, with diagnostics on each.

    They are written to replay-first-last.jsonl, and what the run recorded in these
    steps is compared.

    Raises:
      ValueError: the steps are not ones of the run.
    """
    check_run_step(p, last)
    state, _ = state_at(p, first)
    recorded = [r for r in read_records(p.workdir) if first < r['step'] <= last]
    logged = {r['step'] for r in recorded if r['split'] == 'train'}
    looked, made = [], {}
    interval, whole = [], _begins_interval(p, first)
    for done, after, metrics in replay_steps(p, state, last, diagnosed=True):
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
    write_records(path, looked)
    pairs = [(r, made.get((r['split'], r['step']))) for r in recorded]
    found = [(record, again) for record, again in pairs if again]
    different = [record for record, again in found if not _same(record, again)]
    return Replay(path, len(found), different, _same_state(p, state))


def _same(record: Record, again: Record) -> bool:
    again = json.loads(record_line(again))
    return {n: x for n, x in record.items() if n not in CLOCKS} == again


def _begins_interval(p: PreparedRun, step: int) -> bool:
    """Tells whether a record of training was written after the step."""
    return step == 0 or any(
        record['step'] == step for record in read_records(p.workdir, 'train')
    )


def _same_state(p: PreparedRun, state: TrainState) -> bool | None:
    step = int(state.step)
    saved = checkpoints.restore_checkpoint(
        p.workdir / 'checkpoints', like=state, accept=accept_only(p), at=step
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
