"""The values that the page's scripts draw, as compact JSON."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inception_jax.plots.grouping import (
    Row,
    axes,
    group_by_map,
    is_seed,
    ordered,
    series_labels,
)
from inception_jax.plots.palette import HOLLOW, SPLIT_COLOURS, VERDICTS, colours, ramp
from inception_jax.plots.quantities import (
    BLOCK_QUANTITIES,
    CURVES,
    SPLITS,
    Quantity,
    main_quantities,
)
from inception_jax.plots.series import curve_series, heat_map_series, thin
from inception_jax.reports.sentences import brief, changes, sentences
from inception_jax.reports.study import Member, Study
from inception_jax.stability.verdicts import ORDER

# How much a browser draws without a wait: points of a figure, numbers of all heat maps.
POINTS, NUMBERS = 60_000, 1_000_000
Shared = dict[tuple, int]


def page_data(study: Study, table: Sequence[Row]) -> str:
    """Returns what the page draws as JSON that is safe inside a script element."""
    steps: Shared = {}
    blocks: Shared = {}
    members = [_member(one, study, steps, blocks) for one in study.members]
    value = {
        'kind': study.kind,
        'members': members,
        'steps': list(steps),
        'blocks': list(blocks),
        'quantities': _quantities(CURVES),
        'block_quantities': _quantities(BLOCK_QUANTITIES),
        'verdicts': {verdict: VERDICTS[verdict] for verdict in ORDER},
        'hollow': HOLLOW,
        'colours': ramp(len(members)),
        'splits': [(name, SPLITS[name], SPLIT_COLOURS[name]) for name in SPLITS],
        **_choices(members),
        **_fields(table, study),
        'start': _start(table, study, members),
    }
    return json.dumps(value, allow_nan=False, separators=(',', ':')).replace(
        '<', r'\u003c'
    )


def _member(member: Member, study: Study, steps: Shared, blocks: Shared) -> dict:
    origin = member.lineage
    last = member.records[-1] if member.records else {'step': 1, 'epoch': 0}
    return {
        'name': member.name,
        'verdict': member.verdict,
        'brief': brief(member),
        'words': sentences(member),
        'error': member.error,
        'step': member.outcome.get('step'),
        'lost': member.lost_at is not None,
        'epochs_per_step': _digits((last.get('epoch') or 0) / max(last['step'], 1), 6),
        'origin': origin and origin['step'],
        'changes': origin and changes(origin),
        'curves': _curves(member, study, steps),
        'heat': {
            name: heat
            for name, records in {'run': member.records, **member.replays}.items()
            if (heat := _heat(records, study, blocks))
        },
    }


def _curves(member: Member, study: Study, steps: Shared) -> dict[str, list]:
    most = min(1000, max(60, POINTS // len(study.members)))
    after = member.lineage['step'] if member.lineage and study.kind == 'runs' else 0
    found = {}
    for (split, name), whole in curve_series(member.records, after=after).items():
        curve = thin(whole, most)
        place = steps.setdefault(tuple(curve.steps), len(steps))
        marks = {
            mark: [_digits(number, 4) for number in point]
            for mark, step in (('origin', after), ('lost', member.lost_at))
            if step and (point := whole.at(step))
        }
        found[f'{split}.{name}'] = [place, [_digits(v, 4) for v in curve.values], marks]
    return found


def _heat(records: Iterable[Row], study: Study, blocks: Shared) -> dict | None:
    """Returns the quantities of the blocks that have any value, None without any."""
    names = next((r['blocks'] for r in records if r['split'] == 'diagnostics'), None)
    if names is None:
        return None
    each = len(study.members) * len(BLOCK_QUANTITIES) * len(names)
    most = min(200, max(12, NUMBERS // each))
    maps = {
        name: heat_map_series(records, name, most=most) for name in BLOCK_QUANTITIES
    }
    maps = {
        name: one
        for name, one in maps.items()
        if any(value is not None for line in one.values for value in line)
    }
    return maps and {
        'blocks': blocks.setdefault(tuple(names), len(blocks)),
        'steps': next(iter(maps.values())).steps,
        'values': {
            name: [[_digits(value, 3) for value in line] for line in one.values]
            for name, one in maps.items()
        },
    }


def _quantities(quantities: Mapping[str, Quantity]) -> dict[str, dict]:
    return {
        name: {'label': q.label, 'unit': q.unit, 'axis': q.axis, 'share': q.is_share}
        for name, q in quantities.items()
    }


def _choices(members: Sequence[dict]) -> dict[str, Any]:
    """Returns which curves there are, and the panels of a run."""
    there = {key for member in members for key in member['curves']}
    names = [n for n in CURVES if any(f'{split}.{n}' in there for split in SPLITS)]
    return {
        'choices': [
            (f'{split}.{name}', f'{CURVES[name].label}, {split}')
            for name in names
            for split in ('evaluation', 'train', 'diagnostics')
            if f'{split}.{name}' in there
        ],
        'panels': main_quantities(names),
    }


def _fields(table: Sequence[Row], study: Study) -> dict[str, Any]:
    """Returns the varied fields, stability maps along any two, and where to start."""
    varied = {f: ordered(row[f] for row in table) for f in study.fields}
    varied = {field: values for field, values in varied.items() if len(values) > 1}
    singles = [(field, None) for field in (*varied, None)]
    pairs = [*itertools.combinations(varied, 2), *singles]
    pairs = pairs if study.kind == 'sweep' else []
    return {
        'groups': {
            field: {
                'label': study.fields[field],
                'is_seed': is_seed(field),
                'labels': list(series_labels(table, field, study.fields).values()),
                'colours': colours(values),
                'of': [values.index(row[field]) for row in table],
            }
            for field, values in varied.items()
        },
        'maps': [_map(table, study.fields, *pair) for pair in pairs],
    }


def _start(table: Sequence[Row], study: Study, members: Sequence[dict]) -> dict:
    """Returns what is shown first: axes, colours, a curve that is one, a member."""
    x, y = axes(table, study.fields)
    keys = [key for key, _ in _choices(members)['choices']]
    curves = [member['curves'] for member in members]
    lines = [k for k in keys if any(len(c[k][1]) > 2 for c in curves if k in c)]
    return {
        'x': x,
        'y': y,
        'quantity': (lines or keys or [None])[0],
        'colour': (y or x or 'verdict') if study.kind == 'sweep' else '',
        'member': _first(table),
    }


def _map(
    table: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> dict[str, Any]:
    grid = group_by_map(table, x, y)
    columns, lines = (
        list(series_labels(table, field, fields).values()) for field in (x, y)
    )
    return {'x': x, 'y': y, 'columns': columns, 'lines': lines, 'cells': grid.cells}


def _first(table: Sequence[Row]) -> int:
    """Returns the member to look at first: that which died first, if any did."""
    rank = [(ORDER.index(row['verdict']), row['step'] or 0) for row in table]
    return rank.index(min(rank))


def _digits(value: float | None, digits: int) -> float | int | None:
    """Returns a number with so many digits, whole ones without a point."""
    if value is None:
        return None
    short = float(f'{value:.{digits}g}')
    return int(short) if short.is_integer() else short
