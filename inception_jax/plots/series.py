"""The values that figures show: curves, bands of curves, heat maps of blocks."""

import bisect
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
    forked from its parent, and where it died or diverged. A line that does not reach
    this step has no mark.
    """

    steps: list[int]
    values: list[float | None]
    marks: dict[str, Point] = dataclasses.field(default_factory=dict)

    def at(self, step: int, *, axis: str) -> Point | None:
        """Returns the point of the drawn line at a step; None if no line is there.

        Between two values the line is straight on its axis, `linear` or `log`. In a gap
        of values that cannot be drawn, the point is the end of the line before the gap.

        >>> Curve([10, 20], [1.0, 4.0]).at(15, axis='linear')
        (15, 2.5)
        >>> Curve([10, 20], [1.0, 4.0]).at(15, axis='log')
        (15, 2.0)
        >>> Curve([10, 20], [1.0, 4.0]).at(21, axis='linear')
        """
        after = bisect.bisect_left(self.steps, step)
        if after == len(self.steps) or (after == 0 and self.steps[0] != step):
            return None
        values = [_height(value, axis) for value in self.values]
        if self.steps[after] == step and values[after] is not None:
            return step, self.values[after]
        drawn = [i for i in range(after) if values[i] is not None]
        if not drawn:
            return None
        before = drawn[-1]
        if before < after - 1 or values[after] is None:
            return self.steps[before], self.values[before]
        share = (step - self.steps[before]) / (self.steps[after] - self.steps[before])
        height = values[before] + share * (values[after] - values[before])
        return step, math.exp(height) if axis == 'log' else height


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
    for (_, name), curve in curves.items():
        for mark, step in (('origin', origin), ('lost', lost_at)):
            if step and (point := curve.at(step, axis=CURVES[name].axis)):
                curve.marks[mark] = point
    return curves


def thin_curve(curve: Curve, most: int) -> Curve:
    """Keeps about `most` points of a curve, including every visible peak and gap.

    Each interval keeps its lowest value, its highest value and its first value that is
    not finite. The ends of the curve and the neighbours of its marks are kept too.
    """
    count = len(curve.steps)
    if count <= most:
        return curve
    kept = {0, count - 1}
    for step, _ in curve.marks.values():
        # The neighbours of a mark, so that the mark stays on the drawn line.
        after = bisect.bisect_left(curve.steps, step)
        kept.update({max(after - 1, 0), min(after, count - 1)})
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


def _height(value: float | None, axis: str) -> float | None:
    """Returns the position of a value on its axis, None if it cannot be drawn."""
    if axis != 'log' or value is None:
        return value
    return math.log(value) if value > 0 else None


def _is_number(record: Row, name: str) -> bool:
    # Diagnostics records hold a list by block under some of the names.
    return name in record and not isinstance(record[name], list)


def _scaled(value: float | None, quantity: Quantity) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value * quantity.factor
