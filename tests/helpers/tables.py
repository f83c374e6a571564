"""Tables of Markdown, whose columns are aligned with spaces."""

import re


def unaligned(text: str) -> str:
    """Returns a text in which one space separates a cell from the next.

    >>> unaligned('| all | 64   |  9.1 |')
    '| all | 64 | 9.1 |'
    """
    return re.sub(r' +(?=\|)|(?<=\|) +', ' ', text)
