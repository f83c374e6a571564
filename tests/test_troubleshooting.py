"""docs/troubleshooting.md quotes messages that the package prints."""

import ast
import re

import pytest
from helpers.paths import ROOT

PAGE = (ROOT / 'docs/troubleshooting.md').read_text()
QUOTES = re.findall(r'\*\*`(.+?)`\*\*', PAGE)


def message(node):
    """Returns the text of a string in one line, with … for each computed value."""
    match node:
        case ast.Constant(value=str(text)):
            return text.replace('\n', ' ')
        case ast.JoinedStr(values=parts):
            return ''.join(map(message, parts))
    return '…'


MESSAGES = '\n'.join(
    message(node)
    for path in (ROOT / 'inception_jax').rglob('*.py')
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.JoinedStr | ast.Constant)
)


@pytest.mark.parametrize('quote', QUOTES)
def test_a_quoted_message_is_in_the_source(quote):
    assert re.search('.+'.join(map(re.escape, quote.split('…'))), MESSAGES)
