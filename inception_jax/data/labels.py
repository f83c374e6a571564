"""The names of ImageNet's classes, from the package of TFDS."""

import importlib.util
from pathlib import Path


def imagenet_labels() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids in alphabetical order, which is that of labels."""
    # Its folder without importing it, which takes seconds.
    (folder,) = importlib.util.find_spec(
        'tensorflow_datasets'
    ).submodule_search_locations
    text = Path(folder, 'datasets', 'imagenet2012', 'labels.txt').read_text()
    return tuple(text.split())
