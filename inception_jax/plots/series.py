"""The values that figures show: curves, bands of curves, heat maps of blocks."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from inception_jax.plots.grouping import Row
from inception_jax.plots.quantities import BLOCK_QUANTITIES, CURVES, Quantity

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values at steps; a value is None where it is not finite.

    `marks` are points of the line by the names in `quantities.MARKS`: where the run
    forked from its parent, and where it died or diverged.
    """

    steps: list[int]
    values: list[float | None]
    marks: dict[str, Point] = dataclasses.field(default_factory=dict)

    def at(self, step: int) -> Point | None:
        """Returns the point of the drawn line at a step.

        If the line does not reach the step, this is the nearest end before the step,
        else the start of the line. None if the line has no point.

        >>> Curve([10, 20], [1.0, 2.0]).at(15)
        (15, 1.5)
        """
        points = list(zip(self.steps, self.values, strict=True))
        before = [point for point in points if point[0] <= step]
        finite = [point for point in before if point[1] is not None]
        after = points[len(before) :]
        if not finite:
            return next((point for point in after if point[1] is not None), None)
        (start, low), (end, high) = finite[-1], after[0] if after else (step, None)
        if high is None or before[-1][1] is None:
            return start, low
        return step, low + (high - low) * (step - start) / (end - start)


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """`values[block][column]` at `steps[column]`; None where there is no value."""

    blocks: list[str]
    steps: list[int]
    values: list[list[float | None]]

    @property
    def is_empty(self) -> bool:
        return all(value is None for line in self.values for value in line)


@dataclasses.dataclass(frozen=True)
class Band:
    """The median and the range of several curves, at the steps of any of them."""

    steps: list[int]
    low: list[float]
    middle: list[float]
    high: list[float]


def curve_series(
    records: Iterable[Row], *, origin: int = 0, lost_at: int | None = None
) -> dict[tuple[str, str], Curve]:
    """Returns the curves of a run by split and quantity, in the unit of the quantity.

    Args:
      records: the records of metrics.jsonl, in order.
      origin: the step at which the run forked, or 0 for a run that is not a fork. The
        fork keeps only the last of the records that it shares with its parent.
      lost_at: the step at which the run died or diverged.
    """
    curves: dict[tuple[str, str], Curve] = {}
    for record in records:
        for name in [n for n in CURVES if _is_number(record, n)]:
            curve = curves.setdefault((record['split'], name), Curve([], []))
            if curve.steps and record['step'] <= origin:
                curve.steps.clear()
                curve.values.clear()
            curve.steps.append(record['step'])
            curve.values.append(_scaled(record[name], CURVES[name]))
    for curve in curves.values():
        for mark, step in (('origin', origin), ('lost', lost_at)):
            if step and (point := curve.at(step)):
                curve.marks[mark] = point
    return curves


def thin_curve(curve: Curve, most: int) -> Curve:
    """Keeps about `most` points of a curve, including every visible peak and gap.

    Each interval keeps its lowest value, its highest value and its first value that is
    not finite. The ends of the curve are kept too.
    """
    count = len(curve.steps)
    if count <= most:
        return curve
    kept = {0, count - 1}
    size = math.ceil(2 * count / most)
    for start in range(0, count, size):
        interval = range(start, min(start + size, count))
        finite = [i for i in interval if curve.values[i] is not None]
        if finite:
            kept.add(min(finite, key=curve.values.__getitem__))
            kept.add(max(finite, key=curve.values.__getitem__))
        kept.update([i for i in interval if i not in finite][:1])
    indices = sorted(kept)
    return dataclasses.replace(
        curve,
        steps=[curve.steps[i] for i in indices],
        values=[curve.values[i] for i in indices],
    )


def heat_map_series(
    records: Iterable[Row], quantity: str, *, most: int | None = None
) -> HeatMap:
    """Returns a quantity of all blocks at the steps of the diagnostics records.

    Blocks are ordered from the image to the logits. At most `most` steps are kept,
    including the first and the last.
    """
    rows = [r for r in records if r['split'] == 'diagnostics' and quantity in r]
    if most is not None and len(rows) > most:
        last = len(rows) - 1
        rows = [rows[round(i * last / (most - 1))] for i in range(most)]
    blocks = list(dict.fromkeys(block for row in rows for block in row['blocks']))
    columns = [dict(zip(r['blocks'], r[quantity], strict=True)) for r in rows]
    unit = BLOCK_QUANTITIES[quantity]
    return HeatMap(
        blocks,
        [row['step'] for row in rows],
        [[_scaled(column.get(block), unit) for column in columns] for block in blocks],
    )


def median_band(curves: Sequence[Curve]) -> Band:
    """Returns the median and the range of curves at each step that has a value."""
    values: dict[int, list[float]] = {}
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=True):
            if value is not None:
                values.setdefault(step, []).append(value)
    steps = sorted(values)
    return Band(
        steps,
        [min(values[step]) for step in steps],
        [statistics.median(values[step]) for step in steps],
        [max(values[step]) for step in steps],
    )


def _is_number(record: Row, name: str) -> bool:
    # Diagnostics records hold a list by block under some of the names.
    return name in record and not isinstance(record[name], list)


def _scaled(value: float | None, quantity: Quantity) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value * quantity.factor
