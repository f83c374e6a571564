"""What the metrics of steps tell: records of them, and the verdict so far."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from inception_jax.runs.records import Record
from inception_jax.stability.verdicts import StepSigns, VerdictState, judge, not_finite
from inception_jax.steps.by_block import block_names
from inception_jax.training.prepare import PreparedRun


class RunProgress(NamedTuple):
    """What the steps so far tell: a verdict, and the metrics since the last record."""

    watch: VerdictState
    interval: list[dict[str, float]]


def observe(
    p: PreparedRun, seen: RunProgress, numbered: list[tuple[int, dict]]
) -> RunProgress:
    """Judges the metrics of steps, given with their numbers."""
    blocks, watch, interval = block_names(p.network), seen.watch, [*seen.interval]
    for number, metrics in numbered:
        numbers = scalars(metrics)
        bad = not_finite(blocks, **metrics['blocks'])
        skipped = numbers.get('skipped', 0.0) > 0
        signs = StepSigns(numbers['loss'], numbers['dead_channels'], bad, skipped)
        watch = judge(watch, number, signs, p.experiment.verdicts)
        interval.append(numbers)
    return RunProgress(watch, interval)


def scalars(metrics: dict) -> dict[str, float]:
    """Returns the metrics of a step that are one number."""
    return {n: float(x) for n, x in metrics.items() if not isinstance(x, dict)}


def diagnoses(p: PreparedRun, numbered: list[tuple[int, dict]]) -> Iterator[Record]:
    """Yields a record for each of the steps that was diagnosed."""
    for number, metrics in numbered:
        if 'diagnosis' in metrics:
            yield {
                'step': number,
                'epoch': number / p.steps_per_epoch,
                'blocks': list(block_names(p.network)),
                **{name: x.tolist() for name, x in metrics['diagnosis'].items()},
            }


def summarise(interval: list[dict[str, float]], batch_size: int) -> dict[str, float]:
    """Returns the means over steps; batches are of one size, so these are of images.

    `skipped` is the share of steps whose update was left out, and all else is of the
    others; `unreadable` is a number of images.
    """
    counted = [m for m in interval if not m.get('skipped')] or interval
    names = dict.fromkeys(name for m in interval for name in m)
    means = {n: float(np.mean([m.get(n, 0.0) for m in counted])) for n in names}
    if 'skipped' in means:
        means['skipped'] = float(np.mean([m['skipped'] for m in interval]))
    if 'unreadable' in means:
        shares = sum(m.get('unreadable', 0.0) for m in interval)
        means['unreadable'] = round(shares * batch_size)
    return means
