"""Learning curves of networks side by side, ours beside a paper's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from inception_jax.plots.palette import RAMP
from inception_jax.plots.style import PAGE, figure_sheet, save_figure, styled

Curve = Sequence[tuple[float, float]]  # Epochs, and errors in percent.


def draw_pairs(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]], stem: Path
) -> list[Path]:
    """Draws mean curves of two networks a panel, and their ranges as bands.

    Args:
      panels: the curves of every run by title and by network, for two columns.
      stem: where to, without the suffix.

    Returns:
      The paths of the PNG and of the SVG.
    """
    lines = (len(panels) + 1) // 2
    with styled():
        figure = figure_sheet(PAGE, 2.3 * lines)
        places = figure.subplots(lines, 2, squeeze=False).flat
        for panel, (title, networks) in zip(places, panels.items(), strict=True):
            colours = (RAMP[0], RAMP[-1])
            for colour, (name, curves) in zip(colours, networks.items(), strict=True):
                if curves:
                    _band(panel, name, colour, curves)
            panel.set_title(title, loc='left')
            panel.set_xlabel('epoch')
            panel.set_ylabel('top-1 error, %')
            panel.grid(True)
            if panel.lines:
                panel.legend()
        return save_figure(figure, stem)


def _band(panel: Axes, name: str, colour: str, curves: Sequence[Curve]) -> None:
    """Draws as much of the curves as all of them have."""
    points = list(zip(*curves, strict=False))
    epochs = [point[0][0] for point in points]
    values = [[value for _, value in point] for point in points]
    means = [sum(of_runs) / len(of_runs) for of_runs in values]
    panel.plot(epochs, means, color=colour, label=name)
    if len(curves) > 1:
        low, high = map(min, values), map(max, values)
        panel.fill_between(
            epochs, list(low), list(high), color=colour, alpha=0.2, linewidth=0
        )
