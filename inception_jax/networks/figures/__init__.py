"""Figures of networks as SVG, in the style of the paper."""
