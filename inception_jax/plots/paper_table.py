"""The errors of a table of the paper and of our runs, row by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes

from inception_jax.plots.palette import RAMP
from inception_jax.plots.style import PAGE, figure_sheet, save_figure, styled


class Measurement(Protocol):
    """An error in percent with the ends of its confidence interval."""

    error: float
    low: float
    high: float


RowErrors = Mapping[str, tuple[float | None, Sequence[Measurement]]]


def draw_paper_table(panels: Mapping[str, RowErrors], stem: Path) -> list[Path]:
    """Draws a panel for each kind of error; all panels have the same rows.

    `panels` has the paper's error (None if it has none) and our errors with their
    intervals, by the title of the panel and by row. Returns the paths, as `save_figure`
    does.
    """
    names = list(next(iter(panels.values())))
    with styled():
        figure = figure_sheet(PAGE, 0.8 + 0.32 * len(names))
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False).flat
        for panel, (title, rows) in zip(grid, panels.items(), strict=True):
            for position, (paper, measurements) in enumerate(rows.values()):
                _draw_row(panel, position, paper, measurements)
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)
            panel.set_xlim(left=0)
            panel.set_xlabel(title)
            panel.grid(True, axis='x')
        panel.plot([], [], 'o', color=RAMP[-1], mfc='none', label='the paper')
        panel.plot([], [], 'o-', color=RAMP[0], ms=3, label='here, with 95 %')
        figure.legend(loc='outside upper right', ncols=2)
        return save_figure(figure, stem)


def _draw_row(
    panel: Axes,
    position: int,
    paper: float | None,
    measurements: Sequence[Measurement],
) -> None:
    if paper is not None:
        panel.plot(paper, position, 'o', color=RAMP[-1], mfc='none', zorder=3)
    for number, measurement in enumerate(measurements):
        height = position + 0.5 * (number + 1) / (len(measurements) + 1) - 0.25
        interval = [measurement.low, measurement.high]
        panel.plot(interval, [height, height], color=RAMP[0], lw=0.8)
        panel.plot(measurement.error, height, 'o', color=RAMP[0], ms=3)
