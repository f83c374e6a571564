"""The little Markdown that experiments write their verdicts in, as HTML."""

import base64
import html
import mimetypes
import re
from itertools import groupby
from pathlib import Path


def to_html(text: str, folder: Path) -> str:
    """Returns paragraphs, lists, tables, **strong** words, `code` and images as HTML.

    Images are inside it, by their paths from `folder`; where there is no such file
    stands the alternative text. Whatever else Markdown has stays as it is written.
    """
    parts = []
    for kind, lines in groupby(_joined(text.splitlines()), _kind):
        parts.append(_BLOCKS[kind](list(lines)))
    return re.sub(
        r'!\[([^]<]*)\]\(([^)<]+)\)',
        lambda found: _image(found[1], folder / html.unescape(found[2])),
        '\n'.join(parts),
    )


def _image(words: str, path: Path) -> str:
    kind, _ = mimetypes.guess_type(path.name)
    if not (kind or '').startswith('image/') or not path.is_file():
        return words
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img src="data:{kind};base64,{data}" alt="{words}">'


def _joined(lines: list[str]) -> list[str]:
    """Joins the lines of a paragraph, and those of an item of a list."""
    found: list[str] = []
    open_line = False
    for line in lines:
        begins = _kind(line) in ('item', 'row')
        if open_line and line.strip() and not begins:
            found[-1] += f' {line.strip()}'
        else:
            found.append(line.strip())
        open_line = bool(line.strip()) and _kind(line) != 'row'
    return found


def _kind(line: str) -> str:
    if not line.strip():
        return 'blank'
    if line.lstrip().startswith('|'):
        return 'row'
    return 'item' if re.match(r'\s*[*-] ', line) else 'text'


def _words(text: str) -> str:
    text = html.escape(text.strip())
    text = re.sub(r'\*\*(.+?)\*\*', r'<strong>\1</strong>', text)
    return re.sub(r'`(.+?)`', r'<code>\1</code>', text)


def _paragraphs(lines: list[str]) -> str:
    return '\n'.join(f'<p>{_words(line.lstrip("# "))}</p>' for line in lines)


def _list(lines: list[str]) -> str:
    items = ''.join(f'<li>{_words(line[2:])}</li>' for line in lines)
    return f'<ul>{items}</ul>'


def _table(lines: list[str]) -> str:
    rows = [line.strip('|').split('|') for line in lines]
    rows = [row for row in rows if not re.fullmatch(r'[-: ]*', ''.join(row))]
    tags = ['th', *['td'] * len(rows)]
    body = ''.join(
        '<tr>' + ''.join(f'<{tag}>{_words(cell)}</{tag}>' for cell in row) + '</tr>'
        for tag, row in zip(tags, rows, strict=False)
    )
    return f'<div class="scroll" tabindex="0"><table>{body}</table></div>'


_BLOCKS = {
    'blank': lambda lines: '',
    'item': _list,
    'row': _table,
    'text': _paragraphs,
}
