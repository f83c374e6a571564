"""The figures of a report as PNG and SVG, for papers."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inception_jax import plots
from inception_jax.plots.curves import Line
from inception_jax.plots.grouping import (
    CHANGE,
    Row,
    axes,
    differing,
    group_by_map,
    series_lines,
)
from inception_jax.plots.palette import colours, ramp
from inception_jax.plots.quantities import (
    BLOCK_QUANTITIES,
    CURVES,
    Quantity,
    main_quantities,
)
from inception_jax.plots.series import Curve, bands, curve_series, heat_map_series
from inception_jax.reports.sentences import brief
from inception_jax.reports.study import Member, Study

# The curves of a sweep that go into papers, and of which split.
DRAWN = {
    'top_1_error': 'evaluation',
    'cross_entropy': 'train',
    'dead_channels': 'train',
    'gradient_norm': 'train',
}
SPLITS = {'train': 'training', 'evaluation': 'evaluation'}
LOST = '\N{MULTIPLICATION SIGN} dead or diverged'
Curves = dict[tuple[str, str], Curve]


def draw_figures(study: Study, table: Sequence[Row], folder: Path) -> list[Path]:
    """Draws the figures of a study into a folder and returns the paths."""
    drawn = {'run': _of_run, 'sweep': _of_sweep, 'runs': _of_runs}[study.kind]
    return [path for paths in drawn(study, table, folder) for path in paths]


def _of_run(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    (member,) = study.members
    found = curve_series(member.records)
    if found:
        names = {n: CURVES[n] for n in main_quantities(name for _, name in found)}
        step, what = member.outcome.get('step'), brief(member)
        yield plots.panels(found, names, folder / 'curves', step=step, what=what)
    for quantity in BLOCK_QUANTITIES:
        yield _heat(member, quantity, folder / f'heat_map_{quantity}')


def _of_sweep(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    """Draws the map and the curves; members with another change have both apart."""
    x, y = axes(table, study.fields)
    changed = [row for row in table if row.get(CHANGE) is not None]
    if not changed or CHANGE in (x, y):
        places = (y, x) if x == CHANGE and y else (x, y)
        yield from _part(study, table, study.fields, places, folder, '')
    else:
        plain = [row for row in table if row.get(CHANGE) is None]
        fields = {n: words for n, words in study.fields.items() if n != CHANGE}
        yield from _part(study, plain, fields, (x, y), folder, '')
        near = [{row.get(field) for row in changed} for field in (x, y)]
        about = [r for r in table if r.get(x) in near[0] and r.get(y) in near[1]]
        yield from _part(study, about, study.fields, (y, CHANGE), folder, '_changes')
    for verdict, member in _examples(study).items():
        yield _heat(member, 'dead_channels', folder / f'heat_map_{verdict}')


def _part(
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
    yield plots.stability_map(table, grid, stem, fields=fields)
    by_name = {member.name: member for member in study.members}
    members = [by_name[row['member']] for row in table]
    every = [curve_series(member.records) for member in members]
    groups = series_lines(table, fields, *axes)
    several = any(len(numbers) > 1 for g in groups.values() for numbers in g.values())
    note = f'median and range of seeds, {LOST}' if several else LOST
    for name, split in DRAWN.items():
        drawn = _lines(members, groups, every, (split, name))
        if drawn:
            title = f'{_legend(table, fields, *axes)} ({note})'
            stem = folder / f'curves_{name}{suffix}'
            yield plots.seed_band(drawn, _of(split, name), stem, legend=title)


def _of_runs(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    shades = ramp(len(study.members))
    starts = [m.lineage['step'] if m.lineage else 0 for m in study.members]
    every = [
        curve_series(m.records, after=start)
        for m, start in zip(study.members, starts, strict=True)
    ]
    for name, split in DRAWN.items():
        drawn = {
            member.name: Line(
                colour,
                bands([found[split, name]]),
                deaths=_deaths([member], [found[split, name]]),
                origin=found[split, name].at(start) if start else None,
            )
            for member, found, start, colour in zip(
                study.members, every, starts, shades, strict=True
            )
            if (split, name) in found
        }
        if drawn:
            stem = folder / f'curves_{name}'
            title = f'run (\N{WHITE CIRCLE} fork, {LOST})'
            yield plots.seed_band({'': drawn}, _of(split, name), stem, legend=title)
    for member in study.members:
        name = member.name.replace('/', '_')
        yield _heat(member, 'dead_channels', folder / f'heat_map_{name}')


def _of(split: str, name: str) -> Quantity:
    """Returns a quantity that says of which split it is."""
    quantity = CURVES[name]
    return dataclasses.replace(quantity, label=f'{quantity.label} ({SPLITS[split]})')


def _lines(
    members: Sequence[Member],
    groups: dict[str, dict[str, list[int]]],
    every: Sequence[Curves],
    key: tuple[str, str],
) -> dict[str, dict[str, Line]]:
    """Returns the lines of groups of members, for those that have the curve."""
    names = list(dict.fromkeys(label for group in groups.values() for label in group))
    shades = dict(zip(names, colours([_number(name) for name in names]), strict=True))
    found: dict[str, dict[str, Line]] = {}
    for title, group in groups.items():
        for label, numbers in group.items():
            there = [n for n in numbers if key in every[n]]
            if there:
                some = [every[n][key] for n in there]
                deaths = _deaths([members[n] for n in there], some)
                line = Line(shades[label], bands(some), deaths)
                found.setdefault(title, {})[label] = line
    return found


def _number(label: str) -> float | str:
    """Returns a label that is a number as one: such values have an order."""
    try:
        return float(label)
    except ValueError:
        return label


def _legend(
    table: Sequence[Row], fields: Mapping[str, str], x: str | None, y: str | None
) -> str:
    """Returns the fields that the labels of `lines` name."""
    first, panel = (y, x) if y else (x, None)
    others = [f for f in differing(table, fields) if f not in (panel, first)]
    return ', '.join(fields[f] for f in (first, *others) if f) or 'member'


def _deaths(members: Sequence[Member], found: Sequence[Curve]) -> list:
    points = [
        curve.at(member.lost_at)
        for member, curve in zip(members, found, strict=True)
        if member.lost_at is not None
    ]
    return [point for point in points if point]


def _heat(member: Member, quantity: str, stem: Path) -> list[Path]:
    values = heat_map_series(member.records, quantity)
    if not any(value is not None for line in values.values for value in line):
        return []
    return plots.heat_map(
        values,
        BLOCK_QUANTITIES[quantity],
        stem,
        title=f'{member.name}: {brief(member)}',
        step=member.outcome.get('step'),
    )


def _examples(study: Study) -> dict[str, Member]:
    """Returns for each verdict the first member with diagnostics."""
    found: dict[str, Member] = {}
    for member in study.members:
        if any(record['split'] == 'diagnostics' for record in member.records):
            found.setdefault(member.verdict, member)
    return found
