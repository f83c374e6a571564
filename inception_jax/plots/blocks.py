"""What happens in every block over time, as a heat map."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm, Normalize

from inception_jax.plots.quantities import Quantity
from inception_jax.plots.series import HeatMap
from inception_jax.plots.style import (
    PAGE,
    figure_sheet,
    mark,
    save_figure,
    spell_powers,
    styled,
)


def heat_map(
    values: HeatMap,
    quantity: Quantity,
    stem: Path,
    *,
    title: str,
    step: int | None = None,
) -> list[Path]:
    """Draws a quantity of the blocks, from the image downwards, against the step.

    Blank is what has no value. `step` is marked. Returns the paths of the PNG and of
    the SVG.
    """
    grid = np.array(values.values, dtype=float)
    with styled():
        figure = figure_sheet(0.75 * PAGE, 0.9 + 0.15 * len(values.blocks))
        panel = figure.subplots()
        mesh = panel.pcolormesh(
            edges(values.steps),
            np.arange(len(values.blocks) + 1) - 0.5,
            np.ma.masked_invalid(grid),
            cmap='cividis',
            norm=_norm(grid, quantity),
        )
        panel.set_yticks(range(len(values.blocks)), values.blocks)
        panel.invert_yaxis()
        panel.set_xlabel('step')
        panel.set_title(title, loc='left')
        bar = figure.colorbar(mesh, label=quantity.title, pad=0.02)
        if isinstance(mesh.norm, LogNorm):
            spell_powers(bar.ax.yaxis)
        if step is not None and values.steps[0] <= step <= values.steps[-1]:
            mark(panel, step)
        return save_figure(figure, stem)


def edges(steps: list[int]) -> np.ndarray:
    """Returns the borders of columns around the steps: [steps + 1]."""
    places = np.array(steps, dtype=float)
    if len(places) == 1:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    middles = (places[1:] + places[:-1]) / 2
    first = places[0] - (middles[0] - places[0])
    last = places[-1] + (places[-1] - middles[-1])
    return np.concatenate([[first], middles, [last]])


def _norm(grid: np.ndarray, quantity: Quantity) -> Normalize:
    if quantity.is_share:
        return Normalize(0, 100)
    shown = grid[np.isfinite(grid) & (grid > 0)]
    if quantity.axis == 'log' and shown.size and shown.min() < shown.max():
        return LogNorm(shown.min(), shown.max())
    return Normalize()
