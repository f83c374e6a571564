"""The look of every figure: one type size, thin lines, reproducible files."""

import math
import textwrap
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from matplotlib.ticker import (
    AutoLocator,
    FuncFormatter,
    Locator,
    LogLocator,
    NullFormatter,
)

from inception_jax.runtime.files import write_atomically
from inception_jax.runtime.messages import printable_lines

# Inches: the width of a column and of the text of a paper.
COLUMN, PAGE = 3.4, 7.0
# Inches, approximately: the width of a letter and the height of a line of text.
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
    """Returns the context in which a figure must be created and saved."""
    return matplotlib.rc_context(STYLE)


def figure_sheet(width: float, height: float) -> Figure:
    """Returns an empty figure; width and height are in inches."""
    return Figure(figsize=(width, height), layout='constrained')


def save_figure(figure: Figure, stem: Path) -> list[Path]:
    """Writes STEM.png and STEM.svg and returns their paths.

    `stem` is the path of both files without a suffix. The files hold no date, so that
    equal figures are equal files.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f'{stem.name}.{suffix}') for suffix in ('png', 'svg')]
    for path in paths:
        date = {'Date': None} if path.suffix == '.svg' else None
        write_figure(figure, path, metadata=date)
        # Both files have the layout that is computed for the first.
        figure.set_layout_engine('none')
    return paths


def write_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Writes a figure into a file atomically, in the format of its suffix."""
    show_names_literally(figure)
    with write_atomically(path) as draft, warnings.catch_warnings():
        # Names may have letters that the font lacks.
        warnings.filterwarnings('ignore', 'Glyph .* missing from font', UserWarning)
        figure.savefig(draft, format=path.suffix[1:], **options)


def show_names_literally(figure: Figure) -> None:
    """Keeps dollar signs in names; matplotlib would typeset the text between them."""
    for label in figure.findobj(Text):
        # Labels of logarithmic axes are formulas of matplotlib's.
        if not label.get_text().startswith(r'$\mathdefault'):
            label.set_text(printable_lines(label.get_text()))
            label.set_parse_math('$' not in label.get_text())


def legend_label(name: str) -> str:
    """Returns the label of a name; matplotlib leaves out labels that begin with _."""
    return f' {name}' if name.startswith('_') else name


def wrap_label(label: str, width: float) -> str:
    """Breaks a label into lines of at most `width` inches.

    The first place to break is before a parenthesis.
    """
    letters = max(8, int(width / LETTER))
    is_long = len(label) > letters
    parts = label.replace(' (', '\n(').split('\n') if is_long else [label]
    return '\n'.join(textwrap.fill(part, letters) for part in parts)


def mark_step(panel: Axes, step: int, label: str | None = None) -> None:
    """Marks a step with a dashed line that is visible on every colour."""
    halo = [Stroke(linewidth=2, foreground='white'), Normal()]
    dashes = {'linewidth': 0.9, 'linestyle': (0, (4, 3)), 'path_effects': halo}
    panel.axvline(step, color='black', label=label, **dashes)


def fit_linear_axis(panels: Sequence[Axes]) -> None:
    """Sets the y axes of panels to 0 and all values of their lines and bands.

    A margin keeps the marker of the lowest and of the highest value whole.
    """
    ends = [y for p in panels for y in p.dataLim.intervaly if math.isfinite(y)] or [0.0]
    low, high = min(ends), max(ends)
    margin = 0.05 * ((max(high, 0.0) - min(low, 0.0)) or 1.0)
    for panel in panels:
        panel.set_ylim(min(0.0, low - margin), max(0.0, high + margin))


def label_log_axis(axis: Axis) -> None:
    """Labels a logarithmic axis of up to three decades with plain numbers.

    A longer axis, or one of very small or very large numbers, keeps powers of ten.
    """
    low, high = axis.get_view_interval()
    if not 0 < low < high < 1000 * low:
        return
    if high > 30 * low and not 1e-4 <= low < high <= 1e6:
        return
    axis.set_major_locator(_log_locator(high / low))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.set_minor_formatter(NullFormatter())


def _log_locator(ratio: float) -> Locator:
    """Returns the places of about five ticks between a number and `ratio` times it."""
    if ratio < 2:
        return AutoLocator()
    if ratio < 4:
        return LogLocator(subs=(1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0))
    return LogLocator(subs=(1.0, 2.0, 3.0, 5.0) if ratio < 30 else (1.0, 3.0))
