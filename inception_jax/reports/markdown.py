"""Converts the Markdown of experiments' verdicts to HTML."""

import base64
import html
import mimetypes
import re
from itertools import groupby
from pathlib import Path


def markdown_to_html(markdown: str, folder: Path) -> str:
    """Returns paragraphs, lists, tables, **strong** text, `code` and images as HTML.

    Images are embedded; their paths are relative to `folder`. An image without a file
    becomes its alternative text. All other Markdown stays as it is.

    >>> markdown_to_html('It **holds**.', Path())
    '<p>It <strong>holds</strong>.</p>'
    """
    parts = []
    for kind, lines in groupby(_join_lines(markdown.splitlines()), _kind):
        parts.append(_BLOCKS[kind](list(lines)))
    return re.sub(
        r'!\[([^]<]*)\]\(([^)<]+)\)',
        lambda match: _image(match[1], folder / html.unescape(match[2])),
        '\n'.join(parts),
    )


def _image(alternative: str, path: Path) -> str:
    kind, _ = mimetypes.guess_type(path.name)
    if not (kind or '').startswith('image/') or not path.is_file():
        return alternative
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:{kind};base64,{data}" alt="{alternative}">'


def _join_lines(lines: list[str]) -> list[str]:
    """Joins the lines of each paragraph and of each list item."""
    joined: list[str] = []
    is_open = False
    for line in lines:
        starts_block = _kind(line) in ('item', 'row')
        if is_open and line.strip() and not starts_block:
            joined[-1] += f' {line.strip()}'
        else:
            joined.append(line.strip())
        is_open = bool(line.strip()) and _kind(line) != 'row'
    return joined


def _kind(line: str) -> str:
    if not line.strip():
        return 'blank'
    if line.lstrip().startswith('|'):
        return 'row'
    return 'item' if re.match(r'\s*[*-] ', line) else 'text'


def _inline(markdown: str) -> str:
    escaped = html.escape(markdown.strip())
    with_strong = re.sub(r'\*\*(.+?)\*\*', r'<strong>\1</strong>', escaped)
    return re.sub(r'`(.+?)`', r'<code>\1</code>', with_strong)


def _paragraphs(lines: list[str]) -> str:
    return '\n'.join(f'<p>{_inline(line.lstrip("# "))}</p>' for line in lines)


def _list(lines: list[str]) -> str:
    items = ''.join(f'<li>{_inline(line[2:])}</li>' for line in lines)
    return f'<ul>{items}</ul>'


def _table(lines: list[str]) -> str:
    rows = [line.strip('|').split('|') for line in lines]
    rows = [row for row in rows if not re.fullmatch(r'[-: ]*', ''.join(row))]
    tags = ['th', *['td'] * len(rows)]
    body = ''.join(
        '<tr>' + ''.join(f'<{tag}>{_inline(cell)}</{tag}>' for cell in row) + '</tr>'
        for tag, row in zip(tags, rows, strict=False)
    )
    return f'<div class="scroll" tabindex="0"><table>{body}</table></div>'


_BLOCKS = {
    'blank': lambda lines: '',
    'item': _list,
    'row': _table,
    'text': _paragraphs,
}
