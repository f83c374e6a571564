"""The page of a figure: panels with captions in a column and rows."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from inception_jax.networks.figures.layout import (
    LINE,
    Drawing,
    Part,
    Rectangle,
    Text,
    shifted,
    text_width,
)

MARGIN = 24.0
PADDING = 20.0
GUTTER = 18.0
RATIO = 1.41  # width / height of a sheet of paper in landscape format


class Panel(NamedTuple):
    """A part above the lines of its caption; the first line is bold."""

    part: Part
    caption: tuple[str, ...]

    @property
    def width(self) -> float:
        inside = [self.part.left + self.part.right, *map(text_width, self.caption)]
        return max(inside) + 2 * PADDING

    @property
    def height(self) -> float:
        return self.part.height + LINE * len(self.caption) + 3 * PADDING


@dataclasses.dataclass(frozen=True)
class Page:
    """Shapes on a sheet with the corners (0, 0) and (width, height)."""

    width: float
    height: float
    shapes: tuple[Drawing, ...]


class _Plan(NamedTuple):
    """A column of panels, with rows of panels to its right."""

    column: Sequence[Panel]
    rows: Sequence[Sequence[Panel]]

    @property
    def widths(self) -> tuple[float, float]:
        column = max(panel.width for panel in self.column)
        return column, max((_length(row, 'width') for row in self.rows), default=0.0)

    @property
    def height(self) -> float:
        rows = sum(_height(row) + GUTTER for row in self.rows) - GUTTER
        return max(_length(self.column, 'height'), rows)

    @property
    def cost(self) -> float:
        """The area of the landscape sheet that holds the plan, plus the plan's area."""
        width = sum(self.widths) + GUTTER
        return max(width, RATIO * self.height) ** 2 / RATIO + width * self.height


def page(panels: Sequence[Panel]) -> Page:
    """Sets panels, in this order, on a page close to the shape of landscape paper."""
    plans = [
        _Plan(panels[:count], rows)
        for count in {min(len(panels), 2), min(len(panels), 3)}
        for rows in _row_choices(panels[count:])
    ]
    return _page(min(plans, key=lambda plan: plan.cost))


def _row_choices(panels: Sequence[Panel]) -> list[list[list[Panel]]]:
    places = range(len(panels))
    lengths = {_length(panels[i : j + 1], 'width') for i in places for j in places[i:]}
    least = max((panel.width for panel in panels), default=0.0)
    limits = sorted(length for length in lengths if length >= least)
    return [_rows(panels, limit) for limit in limits] or [[]]


def _rows(panels: Sequence[Panel], limit: float) -> list[list[Panel]]:
    rows = [[]]
    for panel in panels:
        if _length([*rows[-1], panel], 'width') > limit:
            rows.append([])
        rows[-1].append(panel)
    return rows


def _length(panels: Sequence[Panel], side: str) -> float:
    return sum(getattr(panel, side) + GUTTER for panel in panels) - GUTTER


def _height(row: Sequence[Panel]) -> float:
    return max(panel.height for panel in row)


def _page(plan: _Plan) -> Page:
    """Stretches the panels until they fill the page."""
    left, right = plan.widths
    spare = (plan.height - _length(plan.column, 'height')) / len(plan.column)
    shapes, y = [], MARGIN
    for panel in plan.column:
        shapes += shifted(
            _framed(panel, left, panel.height + spare, spare / 2), MARGIN, y
        )
        y += panel.height + spare + GUTTER
    y, free = MARGIN, plan.height - sum(_height(row) + GUTTER for row in plan.rows)
    for row in plan.rows:
        height = _height(row) + (free + GUTTER) / len(plan.rows)
        shapes += shifted(_row(row, right, height), MARGIN + left + GUTTER, y)
        y += height + GUTTER
    width = left + (GUTTER + right if plan.rows else 0.0)
    return Page(width + 2 * MARGIN, plan.height + 2 * MARGIN, tuple(shapes))


def _row(row: Sequence[Panel], width: float, height: float) -> list[Drawing]:
    spare = (width - _length(row, 'width')) / len(row)
    lift = (height - _height(row)) / 2
    shapes, x = [], 0.0
    for panel in row:
        shapes += shifted(_framed(panel, panel.width + spare, height, lift), x, 0)
        x += panel.width + spare + GUTTER
    return shapes


def _framed(panel: Panel, width: float, height: float, lift: float) -> list[Drawing]:
    part, caption = panel
    x = (width - part.left - part.right) / 2 + part.left
    first = height - lift - PADDING - LINE * (len(caption) - 1)
    base = first - LINE - PADDING
    texts = [
        Text(width / 2, first + LINE * i, line, 'middle', bold=i == 0)
        for i, line in enumerate(caption)
    ]
    return [
        Rectangle(0, 0, width, height, 'frame'),
        *shifted(part.shapes, x, base),
        *texts,
    ]
