"""Figures of values: what a figure shows, and its drawing as PNG and SVG."""

import logging

# Where HOME cannot be written, matplotlib warns that it keeps its fonts elsewhere.
logging.getLogger('matplotlib').setLevel(logging.ERROR)
