"""The class names of ImageNet, read from the TFDS package."""

import importlib.util
from pathlib import Path


def imagenet_labels() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids in alphabetical order, which is label order."""
    # Importing TFDS takes seconds; finding its folder does not.
    (folder,) = importlib.util.find_spec(
        'tensorflow_datasets'
    ).submodule_search_locations
    labels = Path(folder, 'datasets', 'imagenet2012', 'labels.txt').read_text()
    return tuple(labels.split())
