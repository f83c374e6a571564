"""Rows of a table grouped by the values of their fields: maps, lines and labels."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inception_jax.runtime.amounts import counted

Row = Mapping[str, Any]

# One field in place of all fields that only some rows change, for example controls.
CHANGE = 'change'


@dataclasses.dataclass(frozen=True)
class StabilityMap:
    """A grid of cells along two fields.

    `cells[line][column]` are the indices of the rows whose field `y` has the value
    `lines[line]` and whose field `x` has the value `columns[column]`.
    """

    x: str | None
    y: str | None
    columns: list[Any]
    lines: list[Any]
    cells: list[list[list[int]]]


def group_by_map(rows: Sequence[Row], x: str | None, y: str | None) -> StabilityMap:
    """Sorts rows into cells by the values of two fields.

    An axis without a field has one position. Rows in one cell differ in other fields.

    >>> rows = [{'scale': 1.0}, {'scale': 0.1}, {'scale': 1.0}]
    >>> group_by_map(rows, 'scale', None).cells
    [[[1], [0, 2]]]
    """
    columns = sorted_values(row.get(x) for row in rows)
    lines = sorted_values(row.get(y) for row in rows)
    cells: list[list[list[int]]] = [[[] for _ in columns] for _ in lines]
    for index, row in enumerate(rows):
        cells[lines.index(row.get(y))][columns.index(row.get(x))].append(index)
    return StabilityMap(x, y, columns, lines, cells)


def map_axes(
    rows: Sequence[Row], fields: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Returns the fields for the x axis and the y axis of a stability map.

    The residual scale is the y axis. A width or the learning rate is the x axis.
    Changes and seeds are axes only if nothing else varies.

    Args:
      fields: labels of the fields, by name.
    """
    varied = [f for f in fields if len(sorted_values(row.get(f) for row in rows)) > 1]
    free = [f for f in varied if not is_seed(f)] or varied
    if len(free) < 2:
        return (free[0] if free else None), None
    preferred = ('residual scale', 'width', 'learning rate')

    def rank(field: str) -> int:
        ranks = [i for i, s in enumerate(preferred) if fields[field].startswith(s)]
        return min(ranks, default=len(preferred) + (field == CHANGE))

    y, x = sorted(free, key=rank)[:2]
    return x, y


def usual_values(rows: Sequence[Row], fields: Mapping[str, str]) -> dict[str, Any]:
    """Returns the fields that only some rows change, with the value of the others.

    More than two thirds of the rows have this value. The residual scale, widths and
    seeds are never among these fields, because a study compares their values.
    """
    usual = {}
    for field in varying_fields(rows, fields):
        value, count = Counter(row[field] for row in rows).most_common(1)[0]
        is_compared = fields[field].startswith(('residual scale', 'width'))
        if 3 * count > 2 * len(rows) and not is_compared:
            usual[field] = value
    return usual


def change_text(
    row: Row, usual: Mapping[str, Any], fields: Mapping[str, str]
) -> str | None:
    """Returns how a row differs from the usual values; None if it does not."""
    parts = []
    for field, value in usual.items():
        label, changed = fields[field], row[field]
        if changed != value and isinstance(changed, bool):
            parts.append(label if changed else f'no {label}')
        elif changed != value:
            parts.append(f'{label} {value_text(changed)}')
    return ', '.join(parts) or None


def is_seed(field: str) -> bool:
    return field.rpartition('.')[2] == 'seed'


def value_labels(
    rows: Sequence[Row], field: str | None, fields: Mapping[str, str]
) -> dict[Any, str]:
    """Returns a label for each value of a field, in the order of the values.

    The label of a width adds the channels of the final feature map if each width has
    exactly one number of channels.
    """
    labels, filters = {}, {}
    for value in sorted_values(row.get(field) for row in rows):
        counts = {row.get('filters') for row in rows if row.get(field) == value}
        filters[value] = counts.pop() if len(counts) == 1 else None
        is_unchanged = value is None and field == CHANGE
        labels[value] = 'none' if is_unchanged else value_text(value)
    is_width = fields.get(field, '').startswith('width')
    distinct = set(filters.values())
    if is_width and None not in distinct and len(distinct) == len(filters):
        return {v: f'{labels[v]} ({counted(filters[v], "filter")})' for v in labels}
    return labels


def varying_fields(rows: Sequence[Row], fields: Iterable[str]) -> list[str]:
    """Returns the fields, except seeds, in which the rows differ."""
    free = [field for field in fields if not is_seed(field)]
    return [f for f in free if len(sorted_values(row.get(f) for row in rows)) > 1]


def group_lines(
    rows: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> dict[str, dict[str, list[int]]]:
    """Groups the indices of rows that differ only by their seeds, as lines to draw.

    The first key is the title of a panel: a value of `x` if there is a `y`. The second
    key is the label of a line, which names the values of the other fields.
    """
    panel, first = (x, y) if y else (None, x)
    others = [f for f in varying_fields(rows, fields) if f not in (panel, first)]
    labels = {f: value_labels(rows, f, fields) for f in (panel, first, *others)}
    keys = [f for f in (first, *others) if f]

    def rank(index: int) -> list[int]:
        return [list(labels[f]).index(rows[index].get(f)) for f in (panel, *keys)]

    groups: dict[str, dict[str, list[int]]] = {}
    for index in sorted(range(len(rows)), key=rank):
        row = rows[index]
        title = f'{fields[panel]} {labels[panel][row[panel]]}' if panel else ''
        label = ', '.join(labels[field][row[field]] for field in keys)
        groups.setdefault(title, {}).setdefault(label, []).append(index)
    return groups


def sorted_values(values: Iterable[Any]) -> list[Any]:
    """Returns the distinct values: None first, then numbers by size, then texts.

    >>> sorted_values(['he', 10, None, 0.5, 10])
    [None, 0.5, 10, 'he']
    """
    return sorted(dict.fromkeys(values), key=_rank)


def field_label(field: str) -> str:
    """Returns the label of a config field by its dotted name.

    >>> field_label('hparams.residual_scale'), field_label('network.width.reduction_b')
    ('residual scale', 'width of reduction B')
    >>> field_label('network.depth.a'), field_label('network.width.stem')
    ('depth of stage A', 'width of stem')
    """
    _, name, *entry = field.split('.')
    name = name.replace('_', ' ')
    return f'{name} of {_stage_label(".".join(entry))}' if entry else name


def _stage_label(name: str) -> str:
    """Returns the paper's name of a stage; another name stays as it is."""
    stage = re.fullmatch('(reduction_)?([a-z])', name)
    if not stage:
        return name
    return f'{"reduction" if stage[1] else "stage"} {stage[2].upper()}'


def value_text(value: Any) -> str:
    """Returns the value of a field as a label.

    >>> value_text(None), value_text(1.0), value_text(True)
    ('default', '1', 'True')
    """
    if value is None:
        return 'default'
    return f'{value:g}' if isinstance(value, float) else str(value)


def _rank(value: Any) -> tuple:
    if value is None:
        return (0, 0, '')
    if isinstance(value, int | float):
        return (1, value, '')
    return (2, 0, str(value))
