"""Replays: steps of a run computed again, with diagnostics at every step."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np

from inception_jax.runs import checkpoints
from inception_jax.runs.checksums import whole_array
from inception_jax.runs.records import (
    Record,
    read_unverified_records,
    record_columns,
    record_line,
    write_records,
)
from inception_jax.runtime.amounts import counted
from inception_jax.steps.state import TrainState
from inception_jax.training.observe import (
    average_metrics,
    diagnoses,
    position,
    scalars,
)
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.resume import accept_only
from inception_jax.training.states import (
    AnyRun,
    check_run_step,
    open_run,
    replay_steps,
    state_at,
)

# A block is named once this share of its channels is silent, and so many are named.
HALF, NAMED = 0.5, 6

# Fields of a record that a clock gives; they differ from run to run.
CLOCKS = frozenset({'images_per_second', 'seconds_left'})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """A replay: its diagnostics, and its comparison with the recorded run.

    `print` shows the comparison, the blocks that fell silent, and the largest update
    of the logits layer.

    >>> import inception_jax as ij, pandas  # doctest: +SKIP
    >>> replay = ij.replay('runs/quickstart', 0, 45)  # doctest: +SKIP
    >>> table = pandas.DataFrame(replay.diagnostics())  # doctest: +SKIP
    >>> table.pivot(index='step', columns='block', values='update_ratio').plot()
    ... # doctest: +SKIP

    Attributes:
      path: the file with the diagnostics.
      first, last: the diagnostics are those of the steps after `first` up to `last`.
      records: the number of records that could be compared with those of the run.
      different: the records of the run that differ.
      same_state: whether the last state equals that of the checkpoint; None without a
        checkpoint at that step.
      diagnosed: the records of the diagnostics, in order.
    """

    path: Path
    first: int
    last: int
    records: int
    different: list[Record]
    same_state: bool | None
    diagnosed: list[Record]

    @property
    def same(self) -> bool:
        """Whether nothing that could be compared differs from the run."""
        return not self.different and self.same_state is not False

    def diagnostics(self) -> dict[str, np.ndarray]:
        """Returns the diagnostics as a table with a row for each block at each step.

        The columns are those of `Run.records('diagnostics')`.
        """
        return record_columns(self.diagnosed)

    @property
    def half_silent(self) -> dict[str, int]:
        """The first step at which half of the channels of a block were silent.

        The blocks are in the order of these steps, then from the image to the logits.
        Blocks with fewer silent channels are left out.
        """
        steps: dict[str, int] = {}
        for record in self.diagnosed:
            shares = zip(record['blocks'], record['dead_channels'], strict=True)
            for block, share in shares:
                if share is not None and share >= HALF:
                    steps.setdefault(block, record['step'])
        return steps

    @property
    def largest_logits_update(self) -> tuple[int, float] | None:
        """The step of the largest update of the logits layer, and its ratio.

        The ratio is the norm of the update over the norm of the weights. None if no
        ratio is finite.
        """
        ratios = [
            (ratio, record['step'])
            for record in self.diagnosed
            for block, ratio in zip(
                record['blocks'], record['update_ratio'], strict=True
            )
            if block == 'logits' and ratio is not None and math.isfinite(ratio)
        ]
        if not ratios:
            return None
        ratio, step = max(ratios, key=lambda pair: pair[0])
        return step, ratio

    def __repr__(self) -> str:
        verdict = 'same' if self.same else 'different'
        return f'Replay({str(self.path)!r}, {self.first} to {self.last}: {verdict})'

    def __str__(self) -> str:
        state = {
            None: f'the run keeps no checkpoint of step {self.last:,}, so the state is '
            'not compared (this is normal)',
            True: 'the state is bit-identical to that of the checkpoint',
            False: 'the state differs from that of the checkpoint',
        }[self.same_state]
        equal = self.records - len(self.different)
        records = (
            f'{equal} of {counted(self.records, "record")} of training and diagnostics '
            'are equal'
            if self.records
            else 'the run has no records of these steps to compare with'
        )
        steps = counted(self.last - self.first, 'step')
        lines = [f'{steps} replayed into {self.path}', f'{records}; {state}']
        lines += _findings(self)
        if self.different:
            steps = ', '.join(str(record['step']) for record in self.different[:5])
            lines.append(f'the first records that differ: steps {steps}')
        if not self.same:
            lines.append(
                'a replay is bit-exact only on the same machine, with the same number '
                'of devices and the same versions'
            )
        return '\n'.join(lines)


def replay(run: AnyRun, first: int, last: int) -> Replay:
    """Computes the steps after `first` up to `last` again, with diagnostics at each.

    The diagnostics are written to replay-FIRST-LAST.jsonl in the folder of the run. The
    records and the last state are compared with those of the run.

    Args:
      run: a run, or its folder.

    Raises:
      ValueError: the run has not made these steps.

    >>> print(replay('runs/quickstart', 360, 405))  # doctest: +SKIP
    45 steps replayed into runs/quickstart/replay-360-405.jsonl
    4 of 4 records of training and diagnostics are equal; the state is bit-identical
    to that of the checkpoint
    largest update of the logits layer: 0.021 times the norm of its weights, at step 361
    >>> replay('no_such_folder', 360, 405)
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a run with train
    """
    run = open_run(run)
    check_replay(run, first, last)
    records = read_unverified_records(run.workdir)
    recorded = [r for r in records if first < r['step'] <= last]
    logged = {r['step'] for r in recorded if r['split'] == 'train'}
    state, diagnostics, replayed = state_at(run, first), [], {}
    unlogged, complete = [], _is_logged(run, first)
    for step, state_after, metrics in replay_steps(run, state, last, diagnosed=True):
        state = state_after
        for record in diagnoses(run, [(step, metrics)]):
            diagnostics.append({'split': 'diagnostics', **record})
        replayed['diagnostics', step] = diagnostics[-1]
        unlogged.append(scalars(metrics))
        if step in logged:
            if complete:
                replayed['train', step] = {
                    'split': 'train',
                    **position(run, step),
                    **average_metrics(unlogged, run.experiment.run.batch_size),
                }
            unlogged, complete = [], True
    path = run.workdir / f'replay-{first}-{last}.jsonl'
    write_records(path, diagnostics)
    pairs = [(r, replayed.get((r['split'], r['step']))) for r in recorded]
    compared = [(record, again) for record, again in pairs if again]
    return Replay(
        path=path,
        first=first,
        last=last,
        records=len(compared),
        different=[record for record, again in compared if not _same(record, again)],
        same_state=_same_state(run, state),
        diagnosed=diagnostics,
    )


def check_replay(run: PreparedRun, first: int, last: int) -> None:
    """Raises ValueError unless the run has made the steps, and there are any."""
    if first >= last:
        raise ValueError(
            f'replay from step {first} to step {last}; the second step must be later'
        )
    check_run_step(run, first)
    check_run_step(run, last)


def _findings(result: Replay) -> Iterator[str]:
    """Yields which blocks fell silent and when, and how far the logits layer moved."""
    blocks = list(result.half_silent.items())
    if blocks:
        texts = []
        for block, step in blocks[:NAMED]:
            # The steps before a replay are unknown, except before step 1.
            word = 'by' if step == result.first + 1 > 1 else 'at'
            noun = '' if texts else 'step '
            texts.append(f'{block} {word} {noun}{step:,}')
        more = len(blocks) - NAMED
        texts += [f'{counted(more, "more block")} later'] if more > 0 else []
        yield f'half of the channels silent: {", ".join(texts)}'
    if result.largest_logits_update:
        step, ratio = result.largest_logits_update
        yield (
            f'largest update of the logits layer: {ratio:.3g} times the norm of its '
            f'weights, at step {step:,}'
        )


def _same(record: Record, again: Record) -> bool:
    again = json.loads(record_line(again))
    return {n: x for n, x in record.items() if n not in CLOCKS} == again


def _is_logged(run: PreparedRun, step: int) -> bool:
    """Returns whether a train record ends at the step, or the run begins there."""
    return step == 0 or any(
        r['step'] == step for r in read_unverified_records(run.workdir, 'train')
    )


def _same_state(run: PreparedRun, state: TrainState) -> bool | None:
    step = int(state.step)
    saved = checkpoints.restore_checkpoint(
        run.workdir / 'checkpoints', like=state, accept=accept_only(run), at=step
    )
    if saved is None or int(saved.state.step) != step:
        return None

    def equal(x, y):
        return whole_array(x).tobytes() == whole_array(y).tobytes()

    # A run that was made longer has other hparams in its older checkpoints.
    replayed = dataclasses.replace(state, hparams=saved.state.hparams)
    return all(jax.tree.leaves(jax.tree.map(equal, saved.state, replayed)))
