"""Figures of values: what a figure shows, and its drawing as PNG and SVG."""
