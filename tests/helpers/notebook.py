"""Executes a notebook in the percent format and shows its values, without Jupyter.

python tests/helpers/notebook.py docs/notebooks/networks.py
"""

import ast
import re
import sys
from pathlib import Path

SHOWN = ('_repr_html_', '_repr_svg_', '__repr__')


def execute(path: Path) -> None:
    """Executes the cells in order; the value on the last line of a cell is shown."""
    names: dict = {'__name__': '__main__'}
    for cell in re.split(r'^# %%.*$', path.read_text(), flags=re.MULTILINE):
        tree = ast.parse(cell)
        is_value = tree.body and isinstance(tree.body[-1], ast.Expr)
        value = ast.Expression(tree.body.pop().value) if is_value else None
        exec(compile(tree, path, 'exec'), names)
        if value:
            shown = eval(compile(value, path, 'eval'), names)
            print(next(getattr(shown, m)() for m in SHOWN if hasattr(shown, m)))


if __name__ == '__main__':
    execute(Path(sys.argv[1]))
