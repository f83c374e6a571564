"""The stability map: which members of a sweep live, and when the others died."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from inception_jax.plots.style import COLUMN, PAGE, save, sheet, styled
from inception_jax.reports.cells import (
    Row,
    StabilityMap,
    counts,
    differing,
    labels,
    show,
)
from inception_jax.reports.palette import HOLLOW, VERDICTS

# As many members of a cell have a line of text each; more are told in sum.
LEGIBLE = 6


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
    with styled():
        figure = sheet(
            min(PAGE, max(COLUMN, 0.9 + width * len(grid.columns))),
            0.85 + height * len(grid.lines),
        )
        panel = figure.subplots()
        for line, cells in enumerate(grid.cells):
            for column, cell in enumerate(cells):
                _cell(panel, (column, line), [(table[n], texts[n]) for n in cell])
        _axes(panel, grid, table, fields)
        _legend(panel, {row['verdict'] for row in table})
        return save(figure, stem)


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
    values = ', '.join(show(row[field]) for field in others)
    return f'{values}\n{row["verdict"]}{step}' if others else row['verdict'] + step


def _cell_size(grid: StabilityMap, texts: Mapping[int, str]) -> tuple[float, float]:
    """Returns the width and height, in inches, at which every text is legible."""
    lines = [line for text in texts.values() for line in text.split('\n')]
    most = max(len(cell) for line in grid.cells for cell in line)
    deep = 0.27 if any('\n' in text for text in texts.values()) else 0.16
    width = 0.058 * max(map(len, lines)) + 0.1
    return max(0.75, width), max(0.34, deep * min(most, LEGIBLE))


def _cell(panel: Axes, place: tuple[int, int], rows: Sequence[tuple[Row, str]]) -> None:
    column, line = place
    if len(rows) > LEGIBLE:
        order = list(VERDICTS)
        rows = sorted(rows, key=lambda one: order.index(one[0]['verdict']))
    height = 0.92 / max(len(rows), 1)
    for number, (row, text) in enumerate(rows):
        top = line + 0.46 - number * height
        panel.add_patch(_strip((column - 0.46, top - height), height, row['verdict']))
        fill, colour = VERDICTS[row['verdict']]
        colour = 'black' if fill == 'none' else colour
        _text(panel, column, top - height / 2, text, color=colour)
    if len(rows) > LEGIBLE:
        verdicts = counts(row['verdict'] for row, _ in rows).replace(', ', '\n')
        box = {'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.85, 'pad': 1}
        _text(panel, column, line, verdicts, color='black', bbox=box)


def _strip(corner: tuple[float, float], height: float, verdict: str) -> Rectangle:
    fill, _ = VERDICTS[verdict]
    hollow = {'edgecolor': HOLLOW, 'linestyle': '--'}
    edge = hollow if fill == 'none' else {'edgecolor': 'white'}
    return Rectangle(corner, 0.92, height, facecolor=fill, linewidth=0.5, **edge)


def _text(panel: Axes, x: float, y: float, text: str, **options) -> None:
    options |= {'ha': 'center', 'va': 'center', 'linespacing': 1.0}
    panel.text(x, y, text, fontsize=6.5, **options)


def _axes(
    panel: Axes, grid: StabilityMap, table: Sequence[Row], fields: Mapping[str, str]
) -> None:
    panel.set_xlim(-0.5, len(grid.columns) - 0.5)
    panel.set_ylim(-0.5, len(grid.lines) - 0.5)
    for axis, name in ((panel.xaxis, grid.x), (panel.yaxis, grid.y)):
        names = list(labels(table, name, fields).values()) if name else ['']
        spelt = [text.replace(' (', '\n(') for text in names]
        axis.set_ticks(range(len(spelt)), spelt)
        axis.set_label_text(fields[name] if name else '')
        axis.set_tick_params(length=0)
    panel.spines[:].set_visible(False)


def _legend(panel: Axes, verdicts: set[str]) -> None:
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
        for verdict, (fill, _) in VERDICTS.items()
        if verdict in verdicts
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
