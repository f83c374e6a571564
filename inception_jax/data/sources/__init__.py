"""Data sources: TFDS, class folders, flat folders with labels, arrays."""
