"""Learning curves of two networks: our runs beside the curves of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from inception_jax.plots.palette import RAMP
from inception_jax.plots.style import PAGE, figure_sheet, save_figure, styled

EpochCurve = Sequence[tuple[float, float]]  # Epochs, and errors in percent.


def draw_network_pairs(
    panels: Mapping[str, Mapping[str, Sequence[EpochCurve]]], stem: Path
) -> list[Path]:
    """Draws the mean curves of two networks in each panel, and their ranges as bands.

    `panels` has the curves of all runs, by the title of the panel and by network.
    Returns the paths, as `save_figure` does.
    """
    lines = (len(panels) + 1) // 2
    with styled():
        figure = figure_sheet(PAGE, 2.3 * lines)
        grid = figure.subplots(lines, 2, squeeze=False).flat
        for panel, (title, networks) in zip(grid, panels.items(), strict=True):
            colours = (RAMP[0], RAMP[-1])
            for colour, (name, curves) in zip(colours, networks.items(), strict=True):
                if curves:
                    _draw_mean(panel, name, colour, curves)
            panel.set_title(title, loc='left')
            panel.set_xlabel('epoch')
            panel.set_ylabel('top-1 error, %')
            panel.grid(True)
            if panel.lines:
                panel.legend()
        return save_figure(figure, stem)


def _draw_mean(
    panel: Axes, name: str, colour: str, curves: Sequence[EpochCurve]
) -> None:
    """Draws the mean and the range of curves, as far as the shortest curve goes."""
    points = list(zip(*curves, strict=False))
    epochs = [point[0][0] for point in points]
    values = [[value for _, value in point] for point in points]
    means = [sum(errors) / len(errors) for errors in values]
    panel.plot(epochs, means, color=colour, label=name)
    if len(curves) > 1:
        low, high = map(min, values), map(max, values)
        panel.fill_between(
            epochs, list(low), list(high), color=colour, alpha=0.2, linewidth=0
        )
