"""The figures of a report as PNG and SVG, for papers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from inception_jax import plots
from inception_jax.plots.curves import Line
from inception_jax.reports.cells import Row, axes, differing, lines, stability_map
from inception_jax.reports.palette import ramp
from inception_jax.reports.quantities import BLOCK_QUANTITIES, CURVES, main_quantities
from inception_jax.reports.study import Member, Study
from inception_jax.reports.tidy import Curve, bands, curves, heat_map
from inception_jax.reports.words import brief

# The curves of a sweep that go into papers, and of which split.
DRAWN = {
    'top_1_error': 'evaluation',
    'cross_entropy': 'train',
    'dead_channels': 'train',
    'gradient_norm': 'train',
}
LOST = '\N{MULTIPLICATION SIGN} dead or diverged'
Curves = dict[tuple[str, str], Curve]


def pictures(study: Study, table: Sequence[Row], folder: Path) -> list[Path]:
    """Draws the figures of a study into a folder and returns the paths."""
    drawn = {'run': _of_run, 'sweep': _of_sweep, 'runs': _of_runs}[study.kind]
    return [path for paths in drawn(study, table, folder) for path in paths]


def _of_run(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    (member,) = study.members
    found = curves(member.records)
    if found:
        names = {n: CURVES[n] for n in main_quantities(name for _, name in found)}
        step, what = member.outcome.get('step'), brief(member)
        yield plots.panels(found, names, folder / 'curves', step=step, what=what)
    for quantity in BLOCK_QUANTITIES:
        yield _heat(member, quantity, folder / f'heat_map_{quantity}')


def _of_sweep(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    x, y = axes(table, study.fields)
    grid = stability_map(table, x, y)
    yield plots.stability_map(
        table, grid, folder / 'stability_map', fields=study.fields
    )
    every = [curves(member.records) for member in study.members]
    groups = lines(table, study.fields, x, y)
    several = any(len(numbers) > 1 for g in groups.values() for numbers in g.values())
    note = f'median and range of seeds, {LOST}' if several else LOST
    for name, split in DRAWN.items():
        drawn = _lines(study, groups, every, (split, name))
        if drawn:
            title = f'{_legend(table, study, x, y)} ({note})'
            stem = folder / f'curves_{name}'
            yield plots.spread(drawn, CURVES[name], stem, legend=title)
    for verdict, member in _examples(study).items():
        yield _heat(member, 'dead_channels', folder / f'heat_map_{verdict}')


def _of_runs(study: Study, table: Sequence[Row], folder: Path) -> Iterator[list[Path]]:
    colours = ramp(len(study.members))
    starts = [m.lineage['step'] if m.lineage else 0 for m in study.members]
    every = [
        curves(m.records, after=start)
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
                study.members, every, starts, colours, strict=True
            )
            if (split, name) in found
        }
        if drawn:
            stem = folder / f'curves_{name}'
            title = f'run (\N{WHITE CIRCLE} fork, {LOST})'
            yield plots.spread({'': drawn}, CURVES[name], stem, legend=title)
    for member in study.members:
        name = member.name.replace('/', '_')
        yield _heat(member, 'dead_channels', folder / f'heat_map_{name}')


def _lines(
    study: Study, groups: dict[str, dict[str, list[int]]], every: Sequence[Curves], key
) -> dict[str, dict[str, Line]]:
    """Returns the lines of groups of members, for those that have the curve."""
    names = list(dict.fromkeys(label for group in groups.values() for label in group))
    colours = dict(zip(names, ramp(len(names)), strict=True))
    found: dict[str, dict[str, Line]] = {}
    for title, group in groups.items():
        for label, numbers in group.items():
            there = [n for n in numbers if key in every[n]]
            if there:
                some = [every[n][key] for n in there]
                deaths = _deaths([study.members[n] for n in there], some)
                line = Line(colours[label], bands(some), deaths)
                found.setdefault(title, {})[label] = line
    return found


def _legend(table: Sequence[Row], study: Study, x: str | None, y: str | None) -> str:
    """Returns the fields that the labels of `lines` name."""
    first = y or x
    panel = x if y else None
    others = [f for f in differing(table, study.fields) if f not in (panel, first)]
    return ', '.join(study.fields[f] for f in (first, *others) if f) or 'member'


def _deaths(members: Sequence[Member], found: Sequence[Curve]) -> list:
    points = [
        curve.at(member.lost_at)
        for member, curve in zip(members, found, strict=True)
        if member.lost_at is not None
    ]
    return [point for point in points if point]


def _heat(member: Member, quantity: str, stem: Path) -> list[Path]:
    values = heat_map(member.records, quantity)
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
