"""Errors of a paper's table beside ours, row by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from inception_jax.plots.palette import RAMP
from inception_jax.plots.style import PAGE, figure_sheet, save_figure, styled


class Measurement(Protocol):
    """An error in percent with the ends of its confidence interval."""

    error: float
    low: float
    high: float


Rows = Mapping[str, tuple[float | None, Sequence[Measurement]]]


def draw_paper_table(panels: Mapping[str, Rows], stem: Path) -> list[Path]:
    """Draws a panel for each kind of error, with the same rows from above.

    Args:
      panels: the paper's error, None without one, and ours with their intervals, by
        title and by row.
      stem: where to, without the suffix.

    Returns:
      The paths of the PNG and of the SVG.
    """
    names = list(next(iter(panels.values())))
    with styled():
        figure = figure_sheet(PAGE, 0.8 + 0.32 * len(names))
        places = figure.subplots(1, len(panels), sharey=True, squeeze=False).flat
        for panel, (title, rows) in zip(places, panels.items(), strict=True):
            for place, (paper, found) in enumerate(rows.values()):
                _draw_row(panel, place, paper, found)
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.5, -0.5)
            panel.set_xlim(left=0)
            panel.set_xlabel(title)
            panel.grid(True, axis='x')
        panel.plot([], [], 'o', color=RAMP[-1], mfc='none', label='the paper')
        panel.plot([], [], 'o-', color=RAMP[0], ms=3, label='here, with 95 %')
        figure.legend(loc='outside upper right', ncols=2)
        return save_figure(figure, stem)


def _draw_row(panel, place: int, paper: float | None, found: Sequence) -> None:
    if paper is not None:
        panel.plot(paper, place, 'o', color=RAMP[-1], mfc='none', zorder=3)
    for number, one in enumerate(found):
        height = place + 0.5 * (number + 1) / (len(found) + 1) - 0.25
        panel.plot([one.low, one.high], [height, height], color=RAMP[0], lw=0.8)
        panel.plot(one.error, height, 'o', color=RAMP[0], ms=3)
