"""Curves of runs and of sweeps: the figure of a run folder and figures for papers."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_jax.plots.palette import SPLIT_COLOURS
from inception_jax.plots.quantities import CURVES, SPLITS, Quantity
from inception_jax.plots.series import Curve, median_band
from inception_jax.plots.style import (
    COLUMN,
    LETTER,
    LINE,
    PAGE,
    figure_sheet,
    fit_linear_axis,
    label_log_axis,
    legend_label,
    mark_step,
    save_figure,
    show_names_literally,
    styled,
    wrap_label,
    write_figure,
)


@dataclasses.dataclass(frozen=True)
class SeedLine:
    """The curves of runs that differ only by their seeds, drawn in one colour."""

    colour: str
    curves: Sequence[Curve]


def draw_run_panels(
    curves: Mapping[tuple[str, str], Curve],
    quantities: Mapping[str, Quantity],
    stem: Path,
    *,
    step: int | None = None,
    label: str = '',
) -> list[Path]:
    """Draws a panel for each quantity of a run, with a line for each split.

    `curves` has the curves by split and quantity, `quantities` the quantities by name.
    `step` is marked and gets the `label`. Returns the paths, as `save_figure` does.
    """
    with styled():
        figure, panels = _panel_grid(len(quantities), 2, width=PAGE, height=1.7)
        for panel, (name, quantity) in zip(panels, quantities.items(), strict=True):
            for (split, curve_name), curve in curves.items():
                if curve_name == name:
                    _draw_split(panel, curve, split)
            _set_axes([panel], quantity)
            if step is not None:
                mark_step(panel, step, label)
            panel.set_title(quantity.title, loc='left')
        _add_legend(figure, panels)
        return save_figure(figure, stem)


def draw_seed_bands(
    groups: Mapping[str, Mapping[str, SeedLine]],
    quantity: Quantity,
    stem: Path,
    *,
    legend: str,
) -> list[Path]:
    """Draws each line as the median of its curves, and their range as a band.

    A cross marks where a run died or diverged, a circle where it forked. `groups` has
    the lines by the title of their panel and by their label, and `legend` is the title
    of the labels. Returns the paths, as `save_figure` does.
    """
    columns = 2 if len(groups) == 4 else min(3, len(groups))
    width = max(COLUMN, min(PAGE, 2.4 * columns))
    with styled():
        figure, panels = _panel_grid(
            len(groups), columns, width=width, height=2.1, sharey=True
        )
        for panel, (title, lines) in zip(panels, groups.items(), strict=True):
            for label, line in lines.items():
                _draw_band(panel, label, line)
            panel.set_title(wrap_label(title, 0.85 * width / columns), loc='left')
        _set_axes(panels, quantity)
        label = wrap_label(quantity.title, figure.get_size_inches()[1])
        figure.supylabel(label, fontsize='medium')
        _add_legend(figure, panels, title=legend)
        return save_figure(figure, stem)


def draw_run_curves(records: list[dict], path: Path, *, title: str) -> None:
    """Writes the figure of `run_curves` as a PNG."""
    write_figure(run_curves(records, title=title), path, dpi=120)


def run_curves(records: list[dict], *, title: str) -> Figure:
    """Returns a figure of top-1 error (percent) and cross-entropy (nats) by epoch."""
    figure = Figure(figsize=(9, 3.8), layout='constrained')
    panels = figure.subplots(1, 2)
    for panel, name in zip(panels, ('top_1_error', 'cross_entropy'), strict=True):
        for split in ('train', 'evaluation'):
            rows = [r for r in records if r['split'] == split]
            panel.plot(
                [row['epoch'] for row in rows],
                [math.nan if row[name] is None else row[name] for row in rows],
                color=SPLIT_COLOURS[split],
                linewidth=2 if split == 'evaluation' else 1,
                marker='o' if split == 'evaluation' and len(rows) <= 40 else None,
                markersize=4,
                label=SPLITS[split],
            )
        panel.set_xlabel('epoch')
        panel.set_ylabel(CURVES[name].title)
        if name == 'cross_entropy':
            panel.set_yscale('log')
            label_log_axis(panel.yaxis)
        else:
            fit_linear_axis([panel])
        panel.grid(alpha=0.3)
        panel.spines[['top', 'right']].set_visible(False)
    panels[1].legend(frameon=False)
    figure.suptitle(title)
    show_names_literally(figure)
    return figure


def _panel_grid(
    count: int, columns: int, *, width: float, height: float, **options
) -> tuple[Figure, list[Axes]]:
    """Returns a figure and its panels: `width` is of the figure, `height` of a panel.

    Both are in inches.
    """
    lines = math.ceil(count / columns)
    figure = figure_sheet(width, height * lines)
    panels = list(figure.subplots(lines, columns, squeeze=False, **options).flat)
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels[:count]


def _draw_band(panel: Axes, label: str, line: SeedLine) -> None:
    band, colour = median_band(line.curves), line.colour
    dot = 'o' if len(band.steps) == 1 else None
    panel.plot(
        band.steps,
        band.middle,
        color=colour,
        label=legend_label(label),
        marker=dot,
        markersize=3,
    )
    if len(line.curves) > 1:
        panel.fill_between(
            band.steps, band.low, band.high, color=colour, alpha=0.2, linewidth=0
        )
    for marks in (curve.marks for curve in line.curves):
        if 'lost' in marks:
            cross = {'markersize': 4, 'markeredgewidth': 1.2}
            panel.plot(*marks['lost'], 'x', color=colour, **cross)
        if 'origin' in marks:
            circle = {'markersize': 5, 'markerfacecolor': 'none'}
            panel.plot(*marks['origin'], 'o', color=colour, **circle)


def _draw_split(panel: Axes, curve: Curve, split: str) -> None:
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


def _set_axes(panels: Sequence[Axes], quantity: Quantity) -> None:
    """Sets the axes of panels with one y axis; all lines must already be drawn."""
    is_log = quantity.axis == 'log' and any(p.dataLim.y1 > 0 for p in panels)
    if not is_log and not quantity.is_share:
        fit_linear_axis(panels)
    for panel in panels:
        panel.set_xlabel('step')
        panel.set_xlim(left=0)
        panel.grid(True)
        if is_log:
            panel.set_yscale('log')
            label_log_axis(panel.yaxis)
        elif quantity.is_share:
            panel.set_ylim(-3, 103)


def _add_legend(figure: Figure, panels: Sequence[Axes], title: str = '') -> None:
    """Adds one legend for all panels above them, and makes room for it."""
    handles = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if not handles:
        return
    width, height = figure.get_size_inches()
    columns = _legend_columns(width, handles)
    title = wrap_label(title, width)
    lines = math.ceil(len(handles) / columns) + title.count('\n') + bool(title)
    figure.set_size_inches(width, height + LINE * lines)
    figure.legend(
        handles.values(),
        handles.keys(),
        loc='outside upper center',
        ncols=columns,
        title=title or None,
        title_fontsize=7,
    )


def _legend_columns(width: float, labels: Iterable[str]) -> int:
    """Returns how many columns of labels fit into a width in inches."""
    lengths = [len(label) for label in labels]
    return max(1, min(4, len(lengths), int(width / (LETTER * max(lengths) + 0.45))))
