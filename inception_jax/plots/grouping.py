"""The rows of a table by the values of their fields: maps, groups, labels."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

# The field that stands for those that only some rows change, such as controls.
CHANGE = 'change'


@dataclasses.dataclass(frozen=True)
class StabilityMap:
    """`cells[line][column]`: the numbers of the rows with these values of y and x."""

    x: str | None
    y: str | None
    columns: list[Any]
    lines: list[Any]
    cells: list[list[list[int]]]


def group_by_map(rows: Sequence[Row], x: str | None, y: str | None) -> StabilityMap:
    """Sorts the rows of a table into cells by the values of two of its fields.

    An axis without a field has one place. Rows in one cell differ in other fields.
    """
    columns = ordered(row.get(x) for row in rows)
    lines = ordered(row.get(y) for row in rows)
    cells: list[list[list[int]]] = [[[] for _ in columns] for _ in lines]
    for number, row in enumerate(rows):
        cells[lines.index(row.get(y))][columns.index(row.get(x))].append(number)
    return StabilityMap(x, y, columns, lines, cells)


def axes(
    rows: Sequence[Row], fields: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Returns the fields to lay a stability map along: that for x, and that for y.

    The residual scale goes up, a width or the learning rate along; changes and seeds
    only where nothing else varies. `fields` are their labels by name.
    """
    varied = [f for f in fields if len(ordered(row.get(f) for row in rows)) > 1]
    free = [f for f in varied if not is_seed(f)] or varied
    if len(free) < 2:
        return (free[0] if free else None), None
    liked = ('residual scale', 'width', 'learning rate')

    def rank(field: str) -> int:
        ranks = [i for i, words in enumerate(liked) if fields[field].startswith(words)]
        return min(ranks, default=len(liked) + (field == CHANGE))

    y, x = sorted(free, key=rank)[:2]
    return x, y


def usual(rows: Sequence[Row], fields: Mapping[str, str]) -> dict[str, Any]:
    """Returns the fields that only some rows change, and the values of all the others.

    These are fields of which one value is in more than two thirds of the rows. The
    residual scale, widths and seeds are none of them: a study is about these.
    """
    found = {}
    for field in differing(rows, fields):
        value, count = Counter(row[field] for row in rows).most_common(1)[0]
        about = fields[field].startswith(('residual scale', 'width'))
        if 3 * count > 2 * len(rows) and not about:
            found[field] = value
    return found


def change(row: Row, usual: Mapping[str, Any], fields: Mapping[str, str]) -> str | None:
    """Says in which fields a row differs from the usual values; None: in none."""
    parts = []
    for field, value in usual.items():
        name, given = fields[field], row[field]
        if given != value and isinstance(given, bool):
            parts.append(name if given else f'no {name}')
        elif given != value:
            parts.append(f'{name} {value_text(given)}')
    return ', '.join(parts) or None


def is_seed(field: str) -> bool:
    return field.rpartition('.')[2] == 'seed'


def series_labels(
    rows: Sequence[Row], field: str | None, fields: Mapping[str, str]
) -> dict[Any, str]:
    """Returns the values of a field, in their order, and what to call each.

    Where a width means a number of filters in the last grid, that is said too.
    """
    found = {}
    for value in ordered(row.get(field) for row in rows):
        group = {row.get('filters') for row in rows if row.get(field) == value}
        name = 'none' if value is None and field == CHANGE else value_text(value)
        found[value] = (name, group.pop() if len(group) == 1 else None)
    filters = [number for _, number in found.values()]
    is_width = fields.get(field, '').startswith('width')
    telling = is_width and None not in filters and len(filters) == len(set(filters))
    return {
        value: f'{text} ({number:,} filters)' if telling else text
        for value, (text, number) in found.items()
    }


def differing(rows: Sequence[Row], fields: Iterable[str]) -> list[str]:
    """Returns the fields, seeds apart, in which the rows differ."""
    free = [field for field in fields if not is_seed(field)]
    return [f for f in free if len(ordered(row.get(f) for row in rows)) > 1]


def series_lines(
    rows: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> dict[str, dict[str, list[int]]]:
    """Groups the numbers of rows that differ by their seeds alone, as lines to draw.

    By the title of a panel, which is a value of x if there is y, and by the label of a
    line, which names the other fields.
    """
    panel, first = (x, y) if y else (None, x)
    others = [f for f in differing(rows, fields) if f not in (panel, first)]
    names = {
        field: series_labels(rows, field, fields) for field in (panel, first, *others)
    }
    keys = [f for f in (first, *others) if f]

    def rank(number: int) -> list[int]:
        return [list(names[f]).index(rows[number].get(f)) for f in (panel, *keys)]

    found: dict[str, dict[str, list[int]]] = {}
    for number in sorted(range(len(rows)), key=rank):
        row = rows[number]
        title = f'{fields[panel]} {names[panel][row[panel]]}' if panel else ''
        label = ', '.join(names[field][row[field]] for field in keys)
        found.setdefault(title, {}).setdefault(label, []).append(number)
    return found


def ordered(values: Iterable[Any]) -> list[Any]:
    """Returns the distinct values: None, then numbers by size, then texts."""
    return sorted(dict.fromkeys(values), key=_rank)


def value_text(value: Any) -> str:
    """Returns a value of a field as a label."""
    if value is None:
        return 'default'
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f'{value:g}' if isinstance(value, float) else f'{value}'


def _rank(value: Any) -> tuple:
    if value is None:
        return (0, 0, '')
    if isinstance(value, int | float):
        return (1, value, '')
    return (2, 0, str(value))
