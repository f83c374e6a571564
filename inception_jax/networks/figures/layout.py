"""Parts of a figure, and how they join: stacked, side by side, around a residual sum.

A part stands on y = 0 and grows upwards, towards negative y as in SVG. Its axis is
x = 0. Arrows come in at its `entries` and leave at its `exits`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

# Lengths in CSS pixels, for a font size of 12.
CHARACTER = 7.2  # more than the mean width of a letter in common fonts
LINE = 15.0  # distance between lines of text
WIDTH = 130.0  # width of a box, unless its text needs more
GAP = 24.0  # distance below a box with one incoming arrow
FAN = 38.0  # distance below boxes that are side by side
SPACE = 18.0  # distance between boxes that are side by side
SNAP = 12.0  # a branch this near to the axis is moved onto the axis
RISE = 46.0  # distance from the top of a residual branch to the centre of the sum
SUM = 11.0  # radius of the circle of the sum


@dataclasses.dataclass(frozen=True)
class Rectangle:
    """A rectangle with lines of text in it; (x, y) is its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Text:
    """A line of text on the baseline y; `anchor` is start, middle or end."""

    x: float
    y: float
    content: str
    anchor: str = 'start'
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Polyline:
    """Straight pieces through `points`; `arrow` adds an arrowhead at the end."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = True


Drawing = Rectangle | Text | Polyline


class EntryPoint(NamedTuple):
    """The place at y = 0 where a line comes in; `arrow` gives it an arrowhead."""

    x: float
    arrow: bool = True


class Part(NamedTuple):
    """Shapes, with their extents left and right of the axis and above y = 0."""

    left: float
    right: float
    height: float
    entries: tuple[EntryPoint, ...]
    exits: tuple[tuple[float, float], ...]
    shapes: tuple[Drawing, ...]


def text_width(line: str) -> float:
    """Estimates the width of a line of text."""
    return CHARACTER * len(line)


def box(kind: str, *lines: str) -> Part:
    """Returns a box around its lines of text."""
    width = max(WIDTH, *(text_width(line) + 14 for line in lines))
    height = LINE * len(lines) + 11
    shape = Rectangle(-width / 2, -height, width, height, kind, lines)
    return _standing(width / 2, height, shape)


def dot() -> Part:
    """Returns the point at which the branches of a block start."""
    return _standing(4.0, 8.0, Rectangle(-4, -8, 8, 8, 'dot'))


def _standing(half: float, height: float, *shapes: Drawing) -> Part:
    return Part(half, half, height, (EntryPoint(0.0),), ((0.0, -height),), shapes)


def nothing() -> Part:
    """Returns an empty part, through which a line passes."""
    return Part(6.0, 6.0, 0.0, (EntryPoint(0.0, arrow=False),), ((0.0, 0.0),), ())


def labelled(parts: Sequence[tuple[str, Part]]) -> list[Part]:
    """Writes a label to the right of the top box of each part, all from the same x."""
    parts = [(label, joined(part)) for label, part in parts]
    x = max(part.right for _, part in parts) + 10
    return [_labelled(label, part, x) for label, part in parts]


def _labelled(label: str, part: Part, x: float) -> Part:
    boxes = [shape for shape in part.shapes if isinstance(shape, Rectangle)]
    top = min(boxes, key=lambda box: box.y, default=Rectangle(0, 0, 0, 0, ''))
    written = Text(x, top.y + top.height / 2 + 4, label)
    return part._replace(right=x + text_width(label), shapes=(*part.shapes, written))


def shifted(shapes: Iterable[Drawing], dx: float, dy: float) -> tuple[Drawing, ...]:
    """Moves shapes by (dx, dy)."""

    def move(shape: Drawing) -> Drawing:
        if isinstance(shape, Polyline):
            points = tuple((x + dx, y + dy) for x, y in shape.points)
            return dataclasses.replace(shape, points=points)
        return dataclasses.replace(shape, x=shape.x + dx, y=shape.y + dy)

    return tuple(map(move, shapes))


def stacked(parts: Sequence[Part]) -> Part:
    """Stacks parts from the bottom up and joins the exits of all but the last."""
    return reduce(_on_top, parts) if parts else nothing()


def _on_top(lower: Part, upper: Part) -> Part:
    lower = joined(lower)
    ((x, y),) = lower.exits
    straight = all(entry.x == x for entry in upper.entries)
    base = -lower.height - (GAP if straight else FAN)
    return Part(
        max(lower.left, upper.left),
        max(lower.right, upper.right),
        upper.height - base,
        lower.entries,
        tuple((ex, ey + base) for ex, ey in upper.exits),
        (
            *lower.shapes,
            *_fan(x, y, upper.entries, base),
            *shifted(upper.shapes, 0, base),
        ),
    )


def _fan(
    x: float, y: float, entries: Sequence[EntryPoint], base: float
) -> list[Polyline]:
    """Draws lines from (x, y) up to the entries at `base`; they part half way."""
    level = (y + base) / 2
    xs = [entry.x for entry in entries]
    lines = [] if x in xs else [Polyline(((x, y), (x, level)), arrow=False)]
    for end, arrow in entries:
        points = [(end, level), (end, base)]
        if end == x:
            points = [(x, y), (x, base)]
        elif end in (min(xs), max(xs)):
            points.insert(0, (x, level))
        lines.append(Polyline(tuple(points), arrow))
    return lines


def side_by_side(parts: Sequence[Part]) -> Part:
    """Puts parts side by side around the axis, without joining their exits."""
    width = sum(part.left + part.right for part in parts) + SPACE * (len(parts) - 1)
    entries, exits, shapes = [], [], []
    x = -width / 2
    for part in parts:
        axis = x + part.left
        entries += [entry._replace(x=entry.x + axis) for entry in part.entries]
        exits += [(ex + axis, ey) for ex, ey in part.exits]
        shapes += shifted(part.shapes, axis, 0)
        x = axis + part.right + SPACE
    nearest = min((entry.x for entry in entries), key=abs)
    axis = nearest if abs(nearest) < SNAP else 0.0
    return Part(
        width / 2 + axis,
        width / 2 - axis,
        max(part.height for part in parts),
        tuple(entry._replace(x=entry.x - axis) for entry in entries),
        tuple((ex - axis, ey) for ex, ey in exits),
        shifted(shapes, -axis, 0),
    )


def joined(part: Part) -> Part:
    """Adds the box of a concatenation above a part with several exits."""
    if len(part.exits) == 1:
        return part
    xs = [x for x, _ in part.exits]
    left = min(min(xs) - 30, -WIDTH / 2)
    width = max(max(xs) + 30, WIDTH / 2) - left
    base = -part.height - GAP
    height = LINE + 11
    bar = Rectangle(left, base - height, width, height, 'concat', ('Filter concat',))
    lines = [Polyline((end, (end[0], base))) for end in part.exits]
    return Part(
        max(part.left, -left),
        max(part.right, left + width),
        height - base,
        part.entries,
        ((0.0, base - height),),
        (*part.shapes, *lines, bar),
    )


def summed(branch: Part, scale: str, relu: bool) -> Part:
    """Draws the trunk on the left of a branch, and the sum of trunk and branch."""
    branch = joined(branch)
    ((x, y),) = branch.exits
    trunk = -(branch.left + SPACE)
    centre = y - RISE
    circle = Rectangle(-SUM, centre - SUM, 2 * SUM, 2 * SUM, 'sum', ('+',))
    shapes = (
        Polyline(((trunk, 0.0), (trunk, centre), (-SUM, centre))),
        Polyline(((x, y), (x, centre + SUM))),
        Text(8.0, y - (RISE - SUM) / 2 + 3, scale),
        circle,
    )
    result = Part(
        -trunk + 6,
        max(branch.right, 12 + text_width(scale)),
        SUM - centre,
        (EntryPoint(trunk, arrow=False), *branch.entries),
        ((0.0, centre - SUM),),
        (*branch.shapes, *shapes),
    )
    return stacked((result, box('relu', 'Relu activation'))) if relu else result


def aside(main: Part, other: Part) -> Part:
    """Puts a part to the left of `main`; the exits are the exits of `main` alone."""
    axis = -(main.left + 2 * SPACE + other.right)
    return Part(
        other.left - axis,
        main.right,
        max(main.height, other.height),
        (
            *(entry._replace(x=entry.x + axis) for entry in other.entries),
            *main.entries,
        ),
        main.exits,
        (*shifted(other.shapes, axis, 0), *main.shapes),
    )
