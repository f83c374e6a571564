"""Pages as SVG text."""

from html import escape
from itertools import pairwise

from inception_jax.networks.figures.layout import LINE, Polyline, Rectangle, Text
from inception_jax.networks.figures.page import Page

_RADIUS = 8.0
_INK = '#333333'
# Fill and stroke of each kind of box.
_COLOURS = {
    'conv': ('#dce8f7', '#7f9dc4'),
    'linear': ('#e7dff0', '#9b86b8'),
    'pool': ('#dcefdc', '#82ad82'),
    'concat': ('#fcead2', '#cfa466'),
    'relu': ('#f9dfdc', '#cc8f88'),
    'sum': ('#ffffff', _INK),
    'dot': (_INK, _INK),
    'norm': ('#e3e9d6', '#98a876'),
    'scale': ('#f4e1ee', '#bd88ab'),
    'module': ('#d9efee', '#77aaa7'),
    'dense': ('#f1f1f1', '#8a8a8a'),
    'input': ('#f1f1f1', '#8a8a8a'),
    'dropout': ('#f1f1f1', '#8a8a8a'),
    'stage': ('#fbf3cf', '#c9b25f'),
    'frame': ('#ffffff', '#e2e2e2'),
}


def svg(page: Page, title: str) -> str:
    """Writes a page as standalone SVG; lengths are in CSS pixels."""
    width, height = _number(page.width), _number(page.height)
    return '\n'.join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" font-size="12" '
            'font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
            f'<title>{escape(title, quote=False)}</title>',
            f'<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" '
            'markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0,0.5 L8,4 L0,7.5 Z" fill="{_INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *map(_elements, page.shapes),
            '</svg>\n',
        ]
    )


def _elements(shape: Rectangle | Text | Polyline) -> str:
    match shape:
        case Rectangle():
            return _box_elements(shape)
        case Text():
            return _text_element(shape)
    return _line_element(shape)


def _box_elements(box: Rectangle) -> str:
    fill, stroke = _COLOURS[box.kind]
    radius = box.height / 2 if box.kind in ('dot', 'sum') else 5
    x, y, width, height = map(_number, (box.x, box.y, box.width, box.height))
    rect = (
        f'<rect class="{box.kind}" x="{x}" y="{y}" width="{width}" height="{height}" '
        f'rx="{_number(radius)}" fill="{fill}" stroke="{stroke}"/>'
    )
    first = box.y + box.height / 2 - LINE * (len(box.lines) - 1) / 2 + 4
    texts = [
        Text(box.x + box.width / 2, first + LINE * i, line, 'middle')
        for i, line in enumerate(box.lines)
    ]
    return '\n'.join([rect, *map(_text_element, texts)])


def _text_element(text: Text) -> str:
    weight = ' font-weight="bold"' if text.bold else ''
    return (
        f'<text x="{_number(text.x)}" y="{_number(text.y)}" '
        f'text-anchor="{text.anchor}" fill="{_INK}"{weight}>'
        f'{escape(text.content, quote=False)}</text>'
    )


def _line_element(line: Polyline) -> str:
    head = ' marker-end="url(#head)"' if line.arrow else ''
    return f'<path d="{_path(line.points)}" fill="none" stroke="{_INK}"{head}/>'


def _path(points) -> str:
    """Writes straight pieces as a path with rounded corners."""
    pieces = [f'M{_point(points[0])}']
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        start, end = _towards(corner, before), _towards(corner, after)
        pieces.append(f'L{_point(start)} Q{_point(corner)} {_point(end)}')
    return ' '.join([*pieces, f'L{_point(points[-1])}'])


def _towards(corner, point):
    """Returns a point between `corner` and `point`, at most half way."""
    dx, dy = point[0] - corner[0], point[1] - corner[1]
    length = (dx * dx + dy * dy) ** 0.5
    share = min(_RADIUS, length / 2) / length
    return corner[0] + share * dx, corner[1] + share * dy


def _point(point) -> str:
    return ','.join(map(_number, point))


def _number(value: float) -> str:
    return f'{round(value, 1):g}'
