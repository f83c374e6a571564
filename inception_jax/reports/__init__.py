"""The parts of a report: what is on disk, values to draw, words, the page."""
