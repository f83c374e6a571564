"""Curves of runs and of sweeps, for papers."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_jax.plots.palette import SPLIT_COLOURS
from inception_jax.plots.quantities import SPLITS, Quantity
from inception_jax.plots.series import Band, Curve
from inception_jax.plots.style import (
    COLUMN,
    LETTER,
    LINE,
    PAGE,
    figure_sheet,
    mark,
    save_figure,
    spell_powers,
    styled,
    wrap_text,
)


@dataclasses.dataclass(frozen=True)
class Line:
    """A band in a colour; where its members died or diverged, and where it forked."""

    colour: str
    band: Band
    deaths: Sequence[tuple[int, float]] = ()
    origin: tuple[int, float] | None = None


def panels(
    curves: Mapping[tuple[str, str], Curve],
    quantities: Mapping[str, Quantity],
    stem: Path,
    *,
    step: int | None = None,
    what: str = '',
) -> list[Path]:
    """Draws each quantity of a run in a panel of its own, a line for each split.

    `step` is marked, as `what`. Returns the paths of the PNG and of the SVG.
    """
    with styled():
        figure, places = _grid(len(quantities), 2, width=PAGE, height=1.7)
        for panel, (name, quantity) in zip(places, quantities.items(), strict=True):
            for (split, other), curve in curves.items():
                if other == name:
                    _line(panel, curve, split)
            _dress(panel, quantity)
            if step is not None:
                mark(panel, step, what)
            panel.set_title(quantity.title, loc='left')
        _legend(figure, places)
        return save_figure(figure, stem)


def seed_band(
    groups: Mapping[str, Mapping[str, Line]],
    quantity: Quantity,
    stem: Path,
    *,
    legend: str,
) -> list[Path]:
    """Draws medians of groups of members, and their ranges as bands.

    Args:
      groups: lines by panel title and then by label.
      legend: the title of the labels.

    Returns:
      The paths of the PNG and of the SVG.
    """
    columns = 2 if len(groups) == 4 else min(3, len(groups))
    width = max(COLUMN, min(PAGE, 2.4 * columns))
    with styled():
        figure, places = _grid(
            len(groups), columns, width=width, height=2.1, sharey=True
        )
        for panel, (title, lines) in zip(places, groups.items(), strict=True):
            for label, line in lines.items():
                _band(panel, label, line)
            panel.set_title(wrap_text(title, 0.85 * width / columns), loc='left')
        for panel in places:
            _dress(panel, quantity)
        figure.supylabel(quantity.title, fontsize='medium')
        _legend(figure, places, title=legend)
        return save_figure(figure, stem)


def _grid(
    count: int, columns: int, *, width: float, height: float, **options
) -> tuple[Figure, list[Axes]]:
    """Returns a figure of that width and its panels, each of that height, in inches."""
    lines = math.ceil(count / columns)
    figure = figure_sheet(width, height * lines)
    places = list(figure.subplots(lines, columns, squeeze=False, **options).flat)
    for panel in places[count:]:
        panel.set_visible(False)
    return figure, places[:count]


def _band(panel: Axes, label: str, line: Line) -> None:
    band, colour = line.band, line.colour
    alone = 'o' if len(band.steps) == 1 else None
    panel.plot(
        band.steps, band.middle, color=colour, label=label, marker=alone, markersize=3
    )
    if band.members > 1:
        panel.fill_between(
            band.steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0
        )
    for step, value in line.deaths:
        panel.plot(step, value, 'x', color=colour, markersize=4, markeredgewidth=1.2)
    if line.origin:
        hollow = {'markersize': 5, 'markerfacecolor': 'none'}
        panel.plot(*line.origin, 'o', color=colour, **hollow)


def _line(panel: Axes, curve: Curve, split: str) -> None:
    evaluation = split == 'evaluation'
    panel.plot(
        curve.steps,
        [math.nan if value is None else value for value in curve.values],
        color=SPLIT_COLOURS[split],
        linewidth=1.6 if evaluation else 1.0,
        marker='o' if evaluation and len(curve.steps) <= 40 else None,
        markersize=2.5,
        label=SPLITS[split],
    )


def _dress(panel: Axes, quantity: Quantity) -> None:
    """Gives a panel its axes, once all of its lines are drawn."""
    panel.set_xlabel('step')
    panel.set_xlim(left=0)
    panel.grid(True)
    values = [value for line in panel.lines for value in line.get_ydata()]
    if quantity.axis == 'log' and any(value > 0 for value in values):
        panel.set_yscale('log')
        spell_powers(panel.yaxis)
    elif quantity.is_share:
        panel.set_ylim(-2, 102)
    else:
        panel.set_ylim(bottom=min(0, panel.get_ylim()[0]))


def _legend(figure: Figure, places: Sequence[Axes], title: str = '') -> None:
    """Tells once what each line of any panel is, above them all."""
    found = {}
    for panel in places:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if not found:
        return
    width, height = figure.get_size_inches()
    columns = _fitting(width, found)
    title = wrap_text(title, width)
    lines = math.ceil(len(found) / columns) + title.count('\n') + bool(title)
    figure.set_size_inches(width, height + LINE * lines)
    figure.legend(
        found.values(),
        found.keys(),
        loc='outside upper center',
        ncols=columns,
        title=title or None,
        title_fontsize=7,
    )


def _fitting(width: float, names: Iterable[str]) -> int:
    """Returns how many columns of such labels fit into a width in inches."""
    lengths = [len(name) for name in names]
    return max(1, min(4, len(lengths), int(width / (LETTER * max(lengths) + 0.45))))


RUN_COLOURS = {'train': '#9aa5b1', 'evaluation': '#c0392b'}


RUN_LABELS = {
    'train': 'training batches',
    'evaluation': 'evaluation, averaged parameters',
}


def draw_run_curves(records: list[dict], path: Path, *, title: str) -> None:
    """Writes the figure of `run_curves` as a PNG."""
    run_curves(records, title=title).savefig(path, dpi=120)


def run_curves(records: list[dict], *, title: str) -> Figure:
    """Returns a figure of top-1 error (percent) and cross-entropy (nats) by epoch."""
    figure = Figure(figsize=(9, 3.8), layout='constrained')
    panels = figure.subplots(1, 2)
    for panel, name, label in zip(
        panels,
        ('top_1_error', 'cross_entropy'),
        ('top-1 error, %', 'cross-entropy, nats'),
        strict=True,
    ):
        for split in RUN_LABELS:
            rows = [r for r in records if r['split'] == split]
            panel.plot(
                [row['epoch'] for row in rows],
                [math.nan if row[name] is None else row[name] for row in rows],
                color=RUN_COLOURS[split],
                linewidth=2 if split == 'evaluation' else 1,
                marker='o' if split == 'evaluation' and len(rows) <= 40 else None,
                markersize=4,
                label=RUN_LABELS[split],
            )
        panel.set_xlabel('epoch')
        panel.set_ylabel(label)
        panel.set_yscale('log') if name == 'cross_entropy' else panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.spines[['top', 'right']].set_visible(False)
    panels[1].legend(frameon=False)
    figure.suptitle(title)
    return figure
