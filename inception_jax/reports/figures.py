"""The figures of a report as PNG and SVG, for papers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inception_jax.plots.blocks import draw_heat_map
from inception_jax.plots.curves import SeedLine, draw_run_panels, draw_seed_bands
from inception_jax.plots.grouping import (
    CHANGE,
    Row,
    group_by_map,
    group_lines,
    map_axes,
    varying_fields,
)
from inception_jax.plots.palette import ramp_colours, value_colours
from inception_jax.plots.quantities import (
    BLOCK_QUANTITIES,
    CURVES,
    MARKS,
    Quantity,
    main_quantities,
)
from inception_jax.plots.series import Curve, heat_map_series
from inception_jax.plots.stability import draw_stability_map
from inception_jax.reports.sentences import brief
from inception_jax.reports.study import Member, Study

# The quantities of a sweep or of several runs that are drawn, and their splits.
DRAWN = {
    'top_1_error': 'evaluation',
    'cross_entropy': 'train',
    'dead_channels': 'train',
    'gradient_norm': 'train',
}
SPLIT_NAMES = {'train': 'training', 'evaluation': 'evaluation'}
RunCurves = dict[tuple[str, str], Curve]


def draw_figures(study: Study, table: Sequence[Row], folder: Path) -> list[Path]:
    """Draws the figures of a study into a folder and returns their paths."""
    draw = {'run': _draw_run, 'sweep': _draw_sweep, 'runs': _draw_runs}[study.kind]
    return [path for paths in draw(study, table, folder) for path in paths]


def _draw_run(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    (member,) = study.members
    curves = study.curves(member)
    if curves:
        names = main_quantities(name for _, name in curves)
        yield draw_run_panels(
            curves,
            {name: CURVES[name] for name in names},
            folder / 'curves',
            step=member.step,
            label=brief(member),
        )
    for quantity in BLOCK_QUANTITIES:
        yield from _draw_blocks(member, quantity, folder / f'heat_map_{quantity}')


def _draw_sweep(
    study: Study, table: Sequence[Row], folder: Path
) -> Iterator[list[Path]]:
    """Draws the map and the curves; members with a change get figures of their own."""
    x, y = map_axes(table, study.fields)
    changed = [row for row in table if row.get(CHANGE) is not None]
    if not changed or CHANGE in (x, y):
        axes = (y, x) if x == CHANGE and y else (x, y)
        yield from _draw_rows(study, table, study.fields, axes, folder, '')
    else:
        plain = [row for row in table if row.get(CHANGE) is None]
        fields = {n: label for n, label in study.fields.items() if n != CHANGE}
        yield from _draw_rows(study, plain, fields, (x, y), folder, '')
        xs, ys = ({row.get(field) for row in changed} for field in (x, y))
        compared = [r for r in table if r.get(x) in xs and r.get(y) in ys]
        axes = (y, CHANGE)
        yield from _draw_rows(study, compared, study.fields, axes, folder, '_changes')
    for verdict, member in _examples(study).items():
        yield from _draw_blocks(member, 'dead_channels', folder / f'heat_map_{verdict}')


def _draw_rows(
    study: Study,
    table: Sequence[Row],
    fields: Mapping[str, str],
    axes: tuple[str | None, str | None],
    folder: Path,
    suffix: str,
) -> Iterator[list[Path]]:
    """Draws the stability map and the curves of some rows of the table."""
    grid = group_by_map(table, *axes)
    stem = folder / f'stability_map{suffix}'
    yield draw_stability_map(table, grid, stem, fields=fields)
    by_name = {member.name: member for member in study.members}
    curves = [study.curves(by_name[row['member']]) for row in table]
    groups = group_lines(table, fields, *axes)
    has_seeds = any(
        len(rows) > 1 for group in groups.values() for rows in group.values()
    )
    seeds = ['median and range of seeds'] if has_seeds else []
    label = _label_fields(table, fields, *axes)
    for name, split in DRAWN.items():
        lines = _lines(groups, curves, (split, name))
        if lines:
            stem = folder / f'curves_{name}{suffix}'
            legend = _with_notes(label, seeds + _drawn_marks(lines))
            yield draw_seed_bands(lines, _quantity_of(split, name), stem, legend=legend)


def _draw_runs(
    study: Study, table: Sequence[Row], folder: Path
) -> Iterator[list[Path]]:
    colours = ramp_colours(len(study.members))
    all_curves = [study.curves(member) for member in study.members]
    for name, split in DRAWN.items():
        lines = {
            member.name: SeedLine(colour, [curves[split, name]])
            for member, curves, colour in zip(
                study.members, all_curves, colours, strict=True
            )
            if (split, name) in curves
        }
        if lines:
            stem = folder / f'curves_{name}'
            groups = {'': lines}
            legend = _with_notes('run', _drawn_marks(groups))
            quantity = _quantity_of(split, name)
            yield draw_seed_bands(groups, quantity, stem, legend=legend)
    for member in study.members:
        name = member.name.replace('/', '_')
        yield from _draw_blocks(member, 'dead_channels', folder / f'heat_map_{name}')


def _drawn_marks(groups: Mapping[str, Mapping[str, SeedLine]]) -> list[str]:
    """Returns the meanings of the marks that any of the lines has."""
    lines = [line for group in groups.values() for line in group.values()]
    drawn = {mark for line in lines for curve in line.curves for mark in curve.marks}
    return [MARKS[mark] for mark in ('origin', 'lost') if mark in drawn]


def _with_notes(label: str, notes: Sequence[str]) -> str:
    return f'{label} ({", ".join(notes)})' if notes else label


def _quantity_of(split: str, name: str) -> Quantity:
    """Returns a quantity whose label names the split."""
    quantity = CURVES[name]
    label = f'{quantity.label} ({SPLIT_NAMES[split]})'
    return dataclasses.replace(quantity, label=label)


def _lines(
    groups: dict[str, dict[str, list[int]]],
    curves: Sequence[RunCurves],
    key: tuple[str, str],
) -> dict[str, dict[str, SeedLine]]:
    """Returns a line for each group of rows; rows without the curve are left out."""
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    values = [_number(label) for label in labels]
    colours = dict(zip(labels, value_colours(values), strict=True))
    lines: dict[str, dict[str, SeedLine]] = {}
    for title, group in groups.items():
        for label, rows in group.items():
            recorded = [curves[i][key] for i in rows if key in curves[i]]
            if recorded:
                lines.setdefault(title, {})[label] = SeedLine(colours[label], recorded)
    return lines


def _number(label: str) -> float | str:
    """Converts a label to a number if possible, because numbers get ordered colours."""
    try:
        return float(label)
    except ValueError:
        return label


def _label_fields(
    table: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> str:
    """Returns the fields whose values the labels of `group_lines` name."""
    first, panel = (y, x) if y else (x, None)
    others = [f for f in varying_fields(table, fields) if f not in (panel, first)]
    return ', '.join(fields[f] for f in (first, *others) if f) or 'member'


def _draw_blocks(member: Member, quantity: str, stem: Path) -> Iterator[list[Path]]:
    """Draws a quantity at the diagnosed steps of a run and of its newest replay."""
    title, replay = f'{member.name}: {brief(member)}', member.newest_replay
    drawn = {(stem.name, title): member.records}
    if replay:
        name = f'{stem.name}_replay-{replay.replace(" to ", "-")}'
        drawn[name, f'{title}\nsteps {replay}, replayed'] = member.replays[replay]
    for (name, title), records in drawn.items():
        heat_map = heat_map_series(records, quantity)
        if not heat_map.is_empty:
            yield draw_heat_map(
                heat_map,
                BLOCK_QUANTITIES[quantity],
                stem.with_name(name),
                title=title,
                step=member.step,
            )


def _examples(study: Study) -> dict[str, Member]:
    """Returns the first member with diagnostics for each verdict."""
    examples: dict[str, Member] = {}
    for member in study.members:
        if any(record['split'] == 'diagnostics' for record in member.records):
            examples.setdefault(member.verdict, member)
    return examples
