"""Figures of values: what a figure shows, and its drawing as PNG and SVG."""

import logging
import re

# Where HOME cannot be written, matplotlib warns at its import that it keeps its fonts
# elsewhere, which is no news for the user.
logging.getLogger('matplotlib').addFilter(
    lambda record: not re.search('(cache|writable) directory', str(record.msg))
)
