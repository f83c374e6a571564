"""The stability map: the verdict of each member of a sweep and its step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.patches import Rectangle

from inception_jax.plots.grouping import (
    Row,
    StabilityMap,
    value_labels,
    value_text,
    varying_fields,
)
from inception_jax.plots.palette import OUTLINE, VERDICT_COLOURS
from inception_jax.plots.style import (
    COLUMN,
    LETTER,
    LINE,
    PAGE,
    figure_sheet,
    save_figure,
    styled,
    wrap_label,
)
from inception_jax.stability.verdicts import ORDER, verdict_counts

# Up to this many members of a cell have a text each. A cell with more members shows
# the counts of their verdicts.
LEGIBLE = 6

FONT = 6.5  # Points.


def draw_stability_map(
    rows: Sequence[Row], grid: StabilityMap, stem: Path, *, fields: Mapping[str, str]
) -> list[Path]:
    """Draws a cell for each pair of values, split into strips for its members.

    The colour of a strip is the verdict of the member. Its text is the verdict and the
    step, and the values that differ within the cell, except seeds. `rows` has a row for
    each member, `grid` the indices of the rows by cell, and `fields` the labels of the
    fields by name. Returns the paths, as `save_figure` does.
    """
    texts = _strip_texts(rows, grid, fields)
    width, height = _cell_size(grid, texts)
    labels = value_labels(rows, grid.x, fields).values() if grid.x else ['']
    longest = max(len(part) for label in labels for part in label.split(' ('))
    width = max(width, min(LETTER * (longest + 2), 1.2))
    columns = _wrapped_labels(rows, grid.x, fields, width)
    lines = _wrapped_labels(rows, grid.y, fields, 1.6)
    left = 0.5 + LETTER * max(len(part) for text in lines for part in text.split('\n'))
    # The texts are smaller if the page is too narrow for them.
    size = FONT * min(1.0, (PAGE - left) / (width * len(columns)))
    with styled():
        figure = figure_sheet(
            min(PAGE, max(COLUMN, left + width * len(columns))),
            0.85 + height * len(lines) + LINE * max(t.count('\n') for t in columns),
        )
        panel = figure.subplots()
        for line, cells in enumerate(grid.cells):
            for column, cell in enumerate(cells):
                members = [(rows[i], texts[i]) for i in cell]
                _draw_cell(panel, (column, line), members, size)
        _label_axis(panel.xaxis, columns, fields.get(grid.x, ''))
        _label_axis(panel.yaxis, lines, fields.get(grid.y, ''))
        panel.spines[:].set_visible(False)
        _add_verdict_legend(panel, {row['verdict'] for row in rows})
        return save_figure(figure, stem)


def _wrapped_labels(
    rows: Sequence[Row], field: str | None, fields: Mapping[str, str], width: float
) -> list[str]:
    """Returns the labels of the values of a field in lines of `width` inches."""
    if field is None:
        return ['']
    labels = value_labels(rows, field, fields).values()
    return [wrap_label(label, width) for label in labels]


def _strip_texts(
    rows: Sequence[Row], grid: StabilityMap, fields: Mapping[str, str]
) -> dict[int, str]:
    """Returns the text of each row, by its index; '' in a crowded cell."""
    texts = {}
    for cell in (cell for line in grid.cells for cell in line):
        varying = varying_fields([rows[i] for i in cell], fields)
        for i in cell:
            texts[i] = _strip_text(rows[i], varying) if len(cell) <= LEGIBLE else ''
    return texts


def _strip_text(row: Row, fields: Sequence[str]) -> str:
    step = '' if row['step'] is None else f' {row["step"]:,}'
    values = ', '.join(value_text(row[field]) for field in fields)
    return f'{values}\n{row["verdict"]}{step}' if fields else row['verdict'] + step


def _cell_size(grid: StabilityMap, texts: Mapping[int, str]) -> tuple[float, float]:
    """Returns the width and height, in inches, at which every text is legible."""
    lines = [line for text in texts.values() for line in text.split('\n')]
    most = max(len(cell) for line in grid.cells for cell in line)
    strip = 0.27 if any('\n' in text for text in texts.values()) else 0.16
    width = LETTER * max(map(len, lines)) + 0.1
    return max(0.75, width), max(0.34, strip * min(most, LEGIBLE))


def _draw_cell(
    panel: Axes, cell: tuple[int, int], members: Sequence[tuple[Row, str]], size: float
) -> None:
    column, line = cell
    if len(members) > LEGIBLE:
        members = sorted(members, key=lambda member: ORDER.index(member[0]['verdict']))
    height = 0.92 / max(len(members), 1)
    for number, (row, text) in enumerate(members):
        top = line + 0.46 - number * height
        panel.add_patch(_strip((column - 0.46, top - height), height, row['verdict']))
        fill, colour = VERDICT_COLOURS[row['verdict']]
        colour = 'black' if fill == 'none' else colour
        _write(panel, column, top - height / 2, text, color=colour, fontsize=size)
    if len(members) > LEGIBLE:
        counts = verdict_counts(row['verdict'] for row, _ in members)
        box = {'facecolor': 'white', 'edgecolor': 'none', 'alpha': 0.85, 'pad': 1}
        options = {'color': 'black', 'bbox': box, 'fontsize': size}
        _write(panel, column, line, counts.replace(', ', '\n'), **options)


def _strip(corner: tuple[float, float], height: float, verdict: str) -> Rectangle:
    fill, _ = VERDICT_COLOURS[verdict]
    dashed = {'edgecolor': OUTLINE, 'linestyle': '--'}
    edge = dashed if fill == 'none' else {'edgecolor': 'white'}
    return Rectangle(corner, 0.92, height, facecolor=fill, linewidth=0.5, **edge)


def _write(panel: Axes, x: float, y: float, text: str, **options) -> None:
    panel.text(x, y, text, ha='center', va='center', linespacing=1.0, **options)


def _label_axis(axis: Axis, texts: Sequence[str], label: str) -> None:
    axis.set_view_interval(-0.5, len(texts) - 0.5, ignore=True)
    axis.set_ticks(range(len(texts)), texts)
    axis.set_label_text(label)
    axis.set_tick_params(length=0)


def _add_verdict_legend(panel: Axes, verdicts: set[str]) -> None:
    fills = {v: VERDICT_COLOURS[v][0] for v in ORDER if v in verdicts}
    patches = [
        Rectangle(
            (0, 0),
            1,
            1,
            facecolor=fill,
            edgecolor=OUTLINE if fill == 'none' else fill,
            linestyle='--' if fill == 'none' else '-',
            linewidth=0.5,
            label=verdict,
        )
        for verdict, fill in fills.items()
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
