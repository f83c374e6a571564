"""Records as values to draw: curves, bands of curves, heat maps of blocks."""

import dataclasses
import math
import statistics
from collections.abc import Iterable, Sequence

from inception_jax.plots.grouping import Row
from inception_jax.plots.quantities import BLOCK_QUANTITIES, CURVES, Quantity


@dataclasses.dataclass(frozen=True)
class Curve:
    """Values against steps; None where a value is not finite."""

    steps: list[int]
    values: list[float | None]

    def at(self, step: int) -> tuple[float, float] | None:
        """Returns the point of the drawn line at a step, None where there is no line.

        Where the line does not reach the step, it is the end that is nearest before it,
        or else its beginning.
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
    """`values[block][column]` at `steps[column]`; None where there is none."""

    blocks: list[str]
    steps: list[int]
    values: list[list[float | None]]


@dataclasses.dataclass(frozen=True)
class Band:
    """The median of several curves and their range, at the steps of any of them."""

    steps: list[int]
    low: list[float]
    middle: list[float]
    high: list[float]
    members: int


def curve_series(
    records: Iterable[Row], *, after: int = 0
) -> dict[tuple[str, str], Curve]:
    """Returns the curves of a run by split and quantity, in the unit of the quantity.

    `after` leaves out what a fork shares with its parent, but for the last record.
    """
    found: dict[tuple[str, str], Curve] = {}
    for record in records:
        for name in [n for n in CURVES if _is_number(record, n)]:
            curve = found.setdefault((record['split'], name), Curve([], []))
            if curve.steps and record['step'] <= after:
                curve.steps.clear()
                curve.values.clear()
            curve.steps.append(record['step'])
            curve.values.append(_scaled(record[name], CURVES[name]))
    return found


def thin(curve: Curve, most: int) -> Curve:
    """Keeps about `most` points of a curve, with every peak, trough and gap that shows.

    Of each stretch it keeps the lowest, the highest and the first value that is not
    finite; and the curve's ends.
    """
    count = len(curve.steps)
    if count <= most:
        return curve
    kept = {0, count - 1}
    size = math.ceil(2 * count / most)
    for start in range(0, count, size):
        stretch = range(start, min(start + size, count))
        finite = [i for i in stretch if curve.values[i] is not None]
        if finite:
            kept.add(min(finite, key=curve.values.__getitem__))
            kept.add(max(finite, key=curve.values.__getitem__))
        kept.update([i for i in stretch if i not in finite][:1])
    chosen = sorted(kept)
    return Curve([curve.steps[i] for i in chosen], [curve.values[i] for i in chosen])


def heat_map_series(
    records: Iterable[Row], quantity: str, *, most: int | None = None
) -> HeatMap:
    """Returns a quantity of the blocks over the steps of the diagnostics records.

    At most `most` steps are kept, the first and the last among them. Blocks stand from
    the image on.
    """
    rows = [r for r in records if r['split'] == 'diagnostics' and quantity in r]
    if most is not None and len(rows) > most:
        last = len(rows) - 1
        rows = [rows[round(i * last / (most - 1))] for i in range(most)]
    blocks = list(dict.fromkeys(block for row in rows for block in row['blocks']))
    by_block = [dict(zip(r['blocks'], r[quantity], strict=True)) for r in rows]
    unit = BLOCK_QUANTITIES[quantity]
    return HeatMap(
        blocks,
        [row['step'] for row in rows],
        [[_scaled(one.get(block), unit) for one in by_block] for block in blocks],
    )


def bands(curves: Sequence[Curve]) -> Band:
    """Returns the median and the range of curves at each step that has values."""
    found: dict[int, list[float]] = {}
    for curve in curves:
        for step, value in zip(curve.steps, curve.values, strict=True):
            if value is not None:
                found.setdefault(step, []).append(value)
    steps = sorted(found)
    return Band(
        steps,
        [min(found[step]) for step in steps],
        [statistics.median(found[step]) for step in steps],
        [max(found[step]) for step in steps],
        len(curves),
    )


def _is_number(record: Row, name: str) -> bool:
    # Diagnostics records have lists by block under some of the names.
    return name in record and not isinstance(record[name], list)


def _scaled(value: float | None, quantity: Quantity) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value * quantity.factor
