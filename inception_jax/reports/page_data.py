"""The values that the scripts of the page draw, as compact JSON."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inception_jax.plots.grouping import (
    Row,
    group_by_map,
    is_seed,
    map_axes,
    sorted_values,
    value_labels,
)
from inception_jax.plots.palette import (
    OUTLINE,
    SPLIT_COLOURS,
    VERDICT_COLOURS,
    ramp_colours,
    value_colours,
)
from inception_jax.plots.quantities import (
    BLOCK_QUANTITIES,
    CURVES,
    MARKS,
    SPLITS,
    Quantity,
    main_quantities,
)
from inception_jax.plots.series import heat_map_series, thin_curve
from inception_jax.reports.sentences import brief, fork_changes, member_sentences
from inception_jax.reports.study import Member, Study
from inception_jax.stability.verdicts import ORDER

# Limits for a page that draws without delay: the points of a figure, and the numbers of
# all heat maps.
POINTS, NUMBERS = 60_000, 1_000_000

# Lists that many curves or heat maps share, and their indices in the JSON.
Shared = dict[tuple, int]


def encode_page_data(study: Study, table: Sequence[Row]) -> str:
    """Returns the values of all figures as JSON that is safe in a script element."""
    steps: Shared = {}
    blocks: Shared = {}
    members = [_member(member, study, steps, blocks) for member in study.members]
    page_data = {
        'kind': study.kind,
        'members': members,
        'steps': list(steps),
        'blocks': list(blocks),
        'quantities': _quantities(CURVES),
        'block_quantities': _quantities(BLOCK_QUANTITIES),
        'verdicts': {verdict: VERDICT_COLOURS[verdict] for verdict in ORDER},
        'outline': OUTLINE,
        'colours': ramp_colours(len(members)),
        'splits': [(name, SPLITS[name], SPLIT_COLOURS[name]) for name in SPLITS],
        'marks': MARKS,
        **_choices(members),
        **_fields(table, study),
        'start': _start(table, study, members),
    }
    encoded = json.dumps(page_data, allow_nan=False, separators=(',', ':'))
    return encoded.replace('<', r'\u003c')


def _member(member: Member, study: Study, steps: Shared, blocks: Shared) -> dict:
    origin = member.lineage
    last = member.records[-1] if member.records else {'step': 1, 'epoch': 0}
    return {
        'name': member.name,
        'verdict': member.verdict,
        'brief': brief(member),
        'sentences': member_sentences(member),
        'error': member.error,
        'step': member.step,
        'lost': member.lost_at is not None,
        'epochs_per_step': _digits((last.get('epoch') or 0) / max(last['step'], 1), 6),
        'origin': origin and origin['step'],
        'changes': origin and fork_changes(origin),
        'curves': _curves(member, study, steps),
        'newest_replay': member.newest_replay,
        'heat': {
            name: heat
            for name, records in {'run': member.records, **member.replays}.items()
            if (heat := _heat(records, study, blocks))
        },
    }


def _curves(member: Member, study: Study, steps: Shared) -> dict[str, list]:
    most = min(1000, max(60, POINTS // len(study.members)))
    curves = {}
    for (split, name), curve in study.curves(member).items():
        curve = thin_curve(curve, most)
        curves[f'{split}.{name}'] = [
            steps.setdefault(tuple(curve.steps), len(steps)),
            [_digits(value, 4) for value in curve.values],
            {
                mark: [_digits(number, 4) for number in point]
                for mark, point in curve.marks.items()
            },
        ]
    return curves


def _heat(records: Iterable[Row], study: Study, blocks: Shared) -> dict | None:
    """Returns the heat maps that have any value, None without diagnostics."""
    names = next((r['blocks'] for r in records if r['split'] == 'diagnostics'), None)
    if names is None:
        return None
    size = len(study.members) * len(BLOCK_QUANTITIES) * len(names)
    most = min(200, max(12, NUMBERS // size))
    heat_maps = {
        name: heat_map
        for name in BLOCK_QUANTITIES
        if not (heat_map := heat_map_series(records, name, most=most)).is_empty
    }
    return heat_maps and {
        'blocks': blocks.setdefault(tuple(names), len(blocks)),
        'steps': next(iter(heat_maps.values())).steps,
        'values': {
            name: [[_digits(value, 3) for value in line] for line in heat_map.values]
            for name, heat_map in heat_maps.items()
        },
    }


def _quantities(quantities: Mapping[str, Quantity]) -> dict[str, dict]:
    return {
        name: {'label': q.label, 'unit': q.unit, 'axis': q.axis, 'share': q.is_share}
        for name, q in quantities.items()
    }


def _choices(members: Sequence[dict]) -> dict[str, Any]:
    """Returns the curves of the menu, and the panels of a run."""
    recorded = {key for member in members for key in member['curves']}
    names = [n for n in CURVES if any(f'{split}.{n}' in recorded for split in SPLITS)]
    return {
        'choices': [
            (f'{split}.{name}', f'{CURVES[name].label}, {split}')
            for name in names
            for split in ('evaluation', 'train', 'diagnostics')
            if f'{split}.{name}' in recorded
        ],
        'panels': main_quantities(names),
    }


def _fields(table: Sequence[Row], study: Study) -> dict[str, Any]:
    """Returns the varied fields, and the stability maps along any two of them."""
    varied = {f: sorted_values(row[f] for row in table) for f in study.fields}
    varied = {field: values for field, values in varied.items() if len(values) > 1}
    singles = [(field, None) for field in (*varied, None)]
    axes = [*itertools.combinations(varied, 2), *singles]
    return {
        'groups': {
            field: {
                'label': study.fields[field],
                'is_seed': is_seed(field),
                'labels': list(value_labels(table, field, study.fields).values()),
                'colours': value_colours(values),
                'of': [values.index(row[field]) for row in table],
            }
            for field, values in varied.items()
        },
        'maps': [
            _map(table, study.fields, x, y) for x, y in axes if study.kind == 'sweep'
        ],
    }


def _start(table: Sequence[Row], study: Study, members: Sequence[dict]) -> dict:
    """Returns the axes, colours, curve and member that the page shows first.

    The curve is the first that is a line. The member is the one that died first.
    """
    x, y = map_axes(table, study.fields)
    keys = [key for key, _ in _choices(members)['choices']]
    curves = [member['curves'] for member in members]
    lines = [k for k in keys if any(len(c[k][1]) > 2 for c in curves if k in c)]
    ranks = [(ORDER.index(row['verdict']), row['step'] or 0) for row in table]
    return {
        'x': x,
        'y': y,
        'quantity': (lines or keys or [None])[0],
        'colour': (y or x or 'verdict') if study.kind == 'sweep' else '',
        'member': ranks.index(min(ranks)),
    }


def _map(
    table: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> dict[str, Any]:
    columns, lines = (list(value_labels(table, f, fields).values()) for f in (x, y))
    cells = group_by_map(table, x, y).cells
    return {'x': x, 'y': y, 'columns': columns, 'lines': lines, 'cells': cells}


def _digits(value: float | None, digits: int) -> float | int | None:
    """Rounds a number to significant digits; whole numbers become integers."""
    if value is None:
        return None
    rounded = float(f'{value:.{digits}g}')
    return int(rounded) if rounded.is_integer() else rounded
