"""Parts of a figure and how they join: upwards, side by side, around a residual sum.

A part stands on y = 0 and grows upwards, which is towards negative y as in SVG. Its
axis is x = 0. Arrows come in at its `entries` and leave at its `exits`.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import NamedTuple

# Lengths in CSS pixels, for text of 12.
CHARACTER = 7.2  # above the mean width of a letter in common fonts
LINE = 15.0  # from one line of text to the next
WIDTH = 130.0  # of a box, unless its text needs more
GAP = 24.0  # below a box with one arrow into it
FAN = 38.0  # below boxes side by side
SPACE = 18.0  # between boxes side by side
SNAP = 12.0  # a branch so near to the axis comes to stand on it
RISE = 46.0  # from the top of a residual branch to the centre of the sum
SUM = 11.0  # the radius of the circle of the sum


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle with lines of text in it; x and y are its left and its top."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    lines: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Text:
    """A line of text at its baseline; `anchor` is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = 'start'
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Line:
    """Straight pieces through `points`, with an arrowhead at the end or without."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = True


Shape = Box | Text | Line


class Entry(NamedTuple):
    """Where a line comes in at y = 0; without `arrow` the line goes on."""

    x: float
    arrow: bool = True


class Part(NamedTuple):
    """Shapes, with their extents to both sides of the axis and upwards."""

    left: float
    right: float
    height: float
    entries: tuple[Entry, ...]
    exits: tuple[tuple[float, float], ...]
    shapes: tuple[Shape, ...]


def text_width(text: str) -> float:
    return CHARACTER * len(text)


def box(kind: str, *lines: str) -> Part:
    """Returns a box around its lines of text."""
    width = max(WIDTH, *(text_width(line) + 14 for line in lines))
    height = LINE * len(lines) + 11
    shape = Box(-width / 2, -height, width, height, kind, lines)
    return _standing(width / 2, height, shape)


def dot() -> Part:
    """Returns the point from which the branches of a block go out."""
    return _standing(4.0, 8.0, Box(-4, -8, 8, 8, 'dot'))


def _standing(half: float, height: float, *shapes: Shape) -> Part:
    return Part(half, half, height, (Entry(0.0),), ((0.0, -height),), shapes)


def nothing() -> Part:
    """Returns the part that only lets a line through."""
    return Part(6.0, 6.0, 0.0, (Entry(0.0, arrow=False),), ((0.0, 0.0),), ())


def labelled(parts: Sequence[tuple[str, Part]]) -> list[Part]:
    """Writes a text to the right of the top of every part, all from one x on."""
    parts = [(text, joined(part)) for text, part in parts]
    x = max(part.right for _, part in parts) + 10
    return [_labelled(text, part, x) for text, part in parts]


def _labelled(text: str, part: Part, x: float) -> Part:
    boxes = [shape for shape in part.shapes if isinstance(shape, Box)]
    top = min(boxes, key=lambda box: box.y, default=Box(0, 0, 0, 0, ''))
    label = Text(x, top.y + top.height / 2 + 4, text)
    return part._replace(right=x + text_width(text), shapes=(*part.shapes, label))


def shifted(shapes: Iterable[Shape], dx: float, dy: float) -> tuple[Shape, ...]:
    def move(shape: Shape) -> Shape:
        if isinstance(shape, Line):
            points = tuple((x + dx, y + dy) for x, y in shape.points)
            return dataclasses.replace(shape, points=points)
        return dataclasses.replace(shape, x=shape.x + dx, y=shape.y + dy)

    return tuple(map(move, shapes))


def stacked(parts: Sequence[Part]) -> Part:
    """Puts parts on top of one another and joins the exits of all but the last."""
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


def _fan(x: float, y: float, entries: Sequence[Entry], base: float) -> list[Line]:
    """Leads from (x, y) up to entries at `base`, over a level on which they part."""
    level = (y + base) / 2
    xs = [entry.x for entry in entries]
    lines = [] if x in xs else [Line(((x, y), (x, level)), arrow=False)]
    for end, arrow in entries:
        points = [(end, level), (end, base)]
        if end == x:
            points = [(x, y), (x, base)]
        elif end in (min(xs), max(xs)):
            points.insert(0, (x, level))
        lines.append(Line(tuple(points), arrow))
    return lines


def side_by_side(parts: Sequence[Part]) -> Part:
    """Puts parts side by side around the axis; nothing joins them yet."""
    width = sum(p.left + p.right for p in parts) + SPACE * (len(parts) - 1)
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
    """Puts the box of a concatenation over a part with several exits."""
    if len(part.exits) == 1:
        return part
    xs = [x for x, _ in part.exits]
    left = min(min(xs) - 30, -WIDTH / 2)
    width = max(max(xs) + 30, WIDTH / 2) - left
    base = -part.height - GAP
    height = LINE + 11
    bar = Box(left, base - height, width, height, 'concat', ('Filter concat',))
    lines = [Line((end, (end[0], base))) for end in part.exits]
    return Part(
        max(part.left, -left),
        max(part.right, left + width),
        height - base,
        part.entries,
        ((0.0, base - height),),
        (*part.shapes, *lines, bar),
    )


def summed(branch: Part, scale: str, relu: bool) -> Part:
    """Leads the trunk past the left of a branch to the sum of the two."""
    branch = joined(branch)
    ((x, y),) = branch.exits
    trunk = -(branch.left + SPACE)
    centre = y - RISE
    circle = Box(-SUM, centre - SUM, 2 * SUM, 2 * SUM, 'sum', ('+',))
    shapes = (
        Line(((trunk, 0.0), (trunk, centre), (-SUM, centre))),
        Line(((x, y), (x, centre + SUM))),
        Text(8.0, y - (RISE - SUM) / 2 + 3, scale),
        circle,
    )
    result = Part(
        -trunk + 6,
        max(branch.right, 12 + text_width(scale)),
        SUM - centre,
        (Entry(trunk, arrow=False), *branch.entries),
        ((0.0, centre - SUM),),
        (*branch.shapes, *shapes),
    )
    return stacked((result, box('relu', 'Relu activation'))) if relu else result


def aside(main: Part, other: Part) -> Part:
    """Puts a part that leads nowhere else to the left of `main`."""
    axis = -(main.left + 2 * SPACE + other.right)
    return Part(
        other.left - axis,
        main.right,
        max(main.height, other.height),
        (*(e._replace(x=e.x + axis) for e in other.entries), *main.entries),
        main.exits,
        (*shifted(other.shapes, axis, 0), *main.shapes),
    )
