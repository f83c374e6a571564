"""The stability map: which members of a sweep live, and when the others died."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle

from inception_jax.plots.grouping import (
    Row,
    StabilityMap,
    differing,
    series_labels,
    value_text,
)
from inception_jax.plots.palette import HOLLOW, VERDICTS
from inception_jax.plots.style import (
    COLUMN,
    LETTER,
    LINE,
    PAGE,
    figure_sheet,
    save_figure,
    styled,
    wrap_text,
)
from inception_jax.stability.verdicts import ORDER, verdict_counts

# As many members of a cell have a line of text each; more are told in sum.
LEGIBLE = 6

FONT = 6.5


def stability_map(
    table: Sequence[Row], grid: StabilityMap, stem: Path, *, fields: Mapping[str, str]
) -> list[Path]:
    """Draws a cell for each pair of values, split among its members.

    A member is coloured by its verdict and labelled with it and its step, and with the
    values by which it differs from its neighbours, seeds apart.

    Args:
      fields: what the fields of the table are called.

    Returns:
      The paths of the PNG and of the SVG.
    """
    texts = _texts(table, grid, fields)
    width, height = _cell_size(grid, texts)
    names = series_labels(table, grid.x, fields).values() if grid.x else ['']
    longest = max(len(part) for name in names for part in name.split(' ('))
    width = max(width, min(LETTER * (longest + 2), 1.2))
    columns = _spelt(table, grid.x, fields, width)
    lines = _spelt(table, grid.y, fields, 1.6)
    left = 0.5 + LETTER * max(len(one) for text in lines for one in text.split('\n'))
    # On a page too narrow for the texts they are smaller.
    size = FONT * min(1.0, (PAGE - left) / (width * len(columns)))
    with styled():
        figure = figure_sheet(
            min(PAGE, max(COLUMN, left + width * len(columns))),
            0.85 + height * len(lines) + LINE * max(t.count('\n') for t in columns),
        )
        panel = figure.subplots()
        for line, cells in enumerate(grid.cells):
            for column, cell in enumerate(cells):
                _cell(panel, (column, line), [(table[n], texts[n]) for n in cell], size)
        _axis(panel.xaxis, columns, fields.get(grid.x, ''))
        _axis(panel.yaxis, lines, fields.get(grid.y, ''))
        panel.spines[:].set_visible(False)
        _legend(panel, {row['verdict'] for row in table})
        return save_figure(figure, stem)


def _spelt(
    table: Sequence[Row], field: str | None, fields: Mapping[str, str], width: float
) -> list[str]:
    """Returns the values of a field, broken into lines of a width in inches."""
    if field is None:
        return ['']
    return [
        wrap_text(text, width) for text in series_labels(table, field, fields).values()
    ]


def _texts(
    table: Sequence[Row], grid: StabilityMap, fields: Mapping[str, str]
) -> dict[int, str]:
    """Returns what is written on each row: nothing where its cell is crowded."""
    found = {}
    for cell in (cell for line in grid.cells for cell in line):
        others = differing([table[number] for number in cell], fields)
        for number in cell:
            text = _label(table[number], others)
            found[number] = text if len(cell) <= LEGIBLE else ''
    return found


def _label(row: Row, others: Sequence[str]) -> str:
    step = '' if row['step'] is None else f' {row["step"]:,}'
    values = ', '.join(value_text(row[field]) for field in others)
    return f'{values}\n{row["verdict"]}{step}' if others else row['verdict'] + step


def _cell_size(grid: StabilityMap, texts: Mapping[int, str]) -> tuple[float, float]:
    """Returns the width and height, in inches, at which every text is legible."""
    lines = [line for text in texts.values() for line in text.split('\n')]
    most = max(len(cell) for line in grid.cells for cell in line)
    deep = 0.27 if any('\n' in text for text in texts.values()) else 0.16
    width = LETTER * max(map(len, lines)) + 0.1
    return max(0.75, width), max(0.34, deep * min(most, LEGIBLE))


def _cell(
    panel: Axes, place: tuple[int, int], rows: Sequence[tuple[Row, str]], size: float
) -> None:
    column, line = place
    if len(rows) > LEGIBLE:
        rows = sorted(rows, key=lambda one: ORDER.index(one[0]['verdict']))
    height = 0.92 / max(len(rows), 1)
    for number, (row, text) in enumerate(rows):
        top = line + 0.46 - number * height
        panel.add_patch(_strip((column - 0.46, top - height), height, row['verdict']))
        fill, colour = VERDICTS[row['verdict']]
        colour = 'black' if fill == 'none' else colour
        _text(panel, column, top - height / 2, text, color=colour, fontsize=size)
    if len(rows) > LEGIBLE:
        verdicts = verdict_counts(row['verdict'] for row, _ in rows).replace(', ', '\n')
        box = {'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.85, 'pad': 1}
        _text(panel, column, line, verdicts, color='black', bbox=box, fontsize=size)


def _strip(corner: tuple[float, float], height: float, verdict: str) -> Rectangle:
    fill, _ = VERDICTS[verdict]
    hollow = {'edgecolor': HOLLOW, 'linestyle': '--'}
    edge = hollow if fill == 'none' else {'edgecolor': 'white'}
    return Rectangle(corner, 0.92, height, facecolor=fill, linewidth=0.5, **edge)


def _text(panel: Axes, x: float, y: float, text: str, **options) -> None:
    options |= {'ha': 'center', 'va': 'center', 'linespacing': 1.0}
    panel.text(x, y, text, **options)


def _axis(axis: Axis, texts: Sequence[str], label: str) -> None:
    axis.set_view_interval(-0.5, len(texts) - 0.5, ignore=True)
    axis.set_ticks(range(len(texts)), texts)
    axis.set_label_text(label)
    axis.set_tick_params(length=0)


def _legend(panel: Axes, verdicts: set[str]) -> None:
    there = {v: VERDICTS[v][0] for v in ORDER if v in verdicts}
    patches = [
        Rectangle(
            (0, 0),
            1,
            1,
            facecolor=fill,
            edgecolor=HOLLOW if fill == 'none' else fill,
            linestyle='--' if fill == 'none' else '-',
            linewidth=0.5,
            label=verdict,
        )
        for verdict, fill in there.items()
    ]
    panel.figure.legend(
        handles=patches,
        loc='outside upper center',
        ncols=min(len(patches), 4),
        handlelength=1,
        columnspacing=1,
        title='verdict, and since which step',
        title_fontsize=7,
    )
