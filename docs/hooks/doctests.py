"""Examples of docstrings as code blocks: Markdown would read `>>>` as a quotation."""

import re

from griffe import Extension

# Up to the next empty line.
EXAMPLE = re.compile(r'^>>> .*(?:\n.+)*', re.M)


class Doctests(Extension):
    """Fences the examples of all docstrings."""

    def on_instance(self, *, obj, **_):
        if obj.docstring:
            fenced = EXAMPLE.sub(r'```pycon\n\g<0>\n```', obj.docstring.value)
            obj.docstring.value = fenced
