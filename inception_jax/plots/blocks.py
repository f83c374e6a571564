"""A quantity of all blocks over the steps of a run, as a heat map."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from inception_jax.plots.quantities import Quantity
from inception_jax.plots.series import HeatMap
from inception_jax.plots.style import (
    PAGE,
    figure_sheet,
    label_log_axis,
    mark_step,
    save_figure,
    styled,
)


def draw_heat_map(
    heat_map: HeatMap,
    quantity: Quantity,
    stem: Path,
    *,
    title: str,
    step: int | None = None,
) -> list[Path]:
    """Draws a quantity by block and step, and marks `step`.

    The first block is at the top. Cells without a value are blank. Returns the paths,
    as `save_figure` does.
    """
    grid = np.array(heat_map.values, dtype=float)
    with styled():
        figure = figure_sheet(0.75 * PAGE, 0.9 + 0.15 * len(heat_map.blocks))
        panel = figure.subplots()
        mesh = panel.pcolormesh(
            column_edges(heat_map.steps),
            np.arange(len(heat_map.blocks) + 1) - 0.5,
            np.ma.masked_invalid(grid),
            cmap='cividis',
            norm=_norm(grid, quantity),
        )
        panel.set_yticks(range(len(heat_map.blocks)), heat_map.blocks)
        panel.invert_yaxis()
        panel.set_xlabel('step')
        panel.set_title(title, loc='left')
        bar = figure.colorbar(mesh, label=quantity.title, pad=0.02)
        if isinstance(mesh.norm, LogNorm):
            label_log_axis(bar.ax.yaxis)
        if step is not None and heat_map.steps[0] <= step <= heat_map.steps[-1]:
            mark_step(panel, step)
        return save_figure(figure, stem)


def column_edges(steps: list[int]) -> np.ndarray:
    """Returns the edges of the columns around the steps: [steps + 1]."""
    centres = np.array(steps, dtype=float)
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middles = (centres[1:] + centres[:-1]) / 2
    first = centres[0] - (middles[0] - centres[0])
    last = centres[-1] + (centres[-1] - middles[-1])
    return np.concatenate([[first], middles, [last]])


def _norm(grid: np.ndarray, quantity: Quantity) -> Normalize:
    if quantity.is_share:
        return Normalize(0, 100)
    positive = grid[np.isfinite(grid) & (grid > 0)]
    if quantity.axis == 'log' and positive.size and positive.min() < positive.max():
        return LogNorm(positive.min(), positive.max())
    return Normalize()
