"""How every picture looks: type of one size, thin lines, the same files on each run."""

import textwrap
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

# Inches: a column and the text width of a paper.
COLUMN, PAGE = 3.4, 7.0
# Of a letter the width, of a line of text the height, about.
LETTER, LINE = 0.058, 0.14

STYLE = {
    'font.family': 'sans-serif',
    'font.sans-serif': ['DejaVu Sans'],
    'font.size': 7.5,
    'axes.titlesize': 7.5,
    'axes.labelsize': 7.5,
    'xtick.labelsize': 7,
    'ytick.labelsize': 7,
    'legend.fontsize': 7,
    'legend.frameon': False,
    'axes.linewidth': 0.6,
    'xtick.major.width': 0.6,
    'ytick.major.width': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'grid.alpha': 0.3,
    'grid.linewidth': 0.5,
    'lines.linewidth': 1.2,
    'savefig.dpi': 300,
    'svg.hashsalt': 'inception_jax',
}


def styled() -> AbstractContextManager:
    """Returns the context in which a figure is made and saved."""
    return matplotlib.rc_context(STYLE)


def figure_sheet(width: float, height: float) -> Figure:
    """Returns an empty figure, in inches."""
    return Figure(figsize=(width, height), layout='constrained')


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Writes STEM.png and STEM.svg, without the date, and returns their paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f'{stem.name}.{kind}') for kind in ('png', 'svg')]
    for path in paths:
        date = {'Date': None} if path.suffix == '.svg' else None
        figure.savefig(path, metadata=date)
        # The layout of the first file is that of the second.
        figure.set_layout_engine('none')
    return paths


def wrap_text(text: str, width: float) -> str:
    """Breaks a text into lines of a width in inches, before a parenthesis first."""
    letters = max(8, int(width / LETTER))
    parts = text.replace(' (', '\n(').split('\n') if len(text) > letters else [text]
    return '\n'.join(textwrap.fill(part, letters) for part in parts)


def mark(panel: Axes, step: int, label: str | None = None) -> None:
    """Marks a step by a dashed line that shows on every colour."""
    halo = [Stroke(linewidth=2, foreground='white'), Normal()]
    dashes = {'linewidth': 0.9, 'linestyle': (0, (4, 3)), 'path_effects': halo}
    panel.axvline(step, color='black', label=label, **dashes)


def spell_powers(axis: Axis) -> None:
    """Labels a logarithmic axis with plain numbers if it spans little."""
    low, high = axis.get_view_interval()
    if 0 < high / low < 30:
        few, many = (1.0, 2.0, 3.0, 5.0), (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)
        axis.set_major_locator(LogLocator(subs=few if high / low > 4 else many))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axis.set_minor_formatter(NullFormatter())
