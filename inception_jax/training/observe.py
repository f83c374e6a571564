"""The metrics of steps, judged and averaged into records."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from inception_jax.runs.records import Record
from inception_jax.stability.verdicts import StepSigns, VerdictState, judge, not_finite
from inception_jax.steps.by_block import block_names
from inception_jax.training.prepare import PreparedRun


class RunProgress(NamedTuple):
    """The verdict after some steps, and the metrics of the steps not yet logged."""

    verdict_state: VerdictState
    unlogged: list[dict[str, float]]


def observe(
    run: PreparedRun, progress: RunProgress, numbered: list[tuple[int, dict]]
) -> RunProgress:
    """Judges the metrics of steps; each comes with the number of its step."""
    blocks, unlogged = block_names(run.network), [*progress.unlogged]
    verdict_state = progress.verdict_state
    for step, metrics in numbered:
        numbers = scalars(metrics)
        signs = StepSigns(
            numbers['loss'],
            numbers['dead_channels'],
            not_finite(blocks, **metrics['blocks']),
            numbers.get('skipped', 0.0) > 0,
        )
        verdict_state = judge(verdict_state, step, signs, run.experiment.verdicts)
        unlogged.append(numbers)
    return RunProgress(verdict_state, unlogged)


def scalars(metrics: dict) -> dict[str, float]:
    """Returns the metrics of a step that are a single number."""
    return {n: float(x) for n, x in metrics.items() if not isinstance(x, dict)}


def position(run: PreparedRun, step: int) -> dict[str, float]:
    """Returns the first fields of a record: the step, and the epoch as a fraction."""
    return {'step': step, 'epoch': step / run.steps_per_epoch}


def diagnoses(run: PreparedRun, numbered: list[tuple[int, dict]]) -> Iterator[Record]:
    """Yields a record for each step with a diagnosis."""
    for step, metrics in numbered:
        if 'diagnosis' in metrics:
            yield {
                **position(run, step),
                'blocks': list(block_names(run.network)),
                **{name: x.tolist() for name, x in metrics['diagnosis'].items()},
            }


def average_metrics(
    unlogged: list[dict[str, float]], batch_size: int
) -> dict[str, float]:
    """Returns the means over steps; all batches have the same size.

    `skipped` is the share of steps without an update; the other means leave these steps
    out. `unreadable` is a number of images.
    """
    updated = [m for m in unlogged if not m.get('skipped')] or unlogged
    names = dict.fromkeys(name for m in unlogged for name in m)
    means = {n: float(np.mean([m.get(n, 0.0) for m in updated])) for n in names}
    if 'skipped' in means:
        means['skipped'] = float(np.mean([m['skipped'] for m in unlogged]))
    if 'unreadable' in means:
        shares = sum(m.get('unreadable', 0.0) for m in unlogged)
        means['unreadable'] = round(shares * batch_size)
    return means
