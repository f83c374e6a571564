"""Class names: names in JSON, and ImageNet's names from the TFDS package."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def parse_class_names(names: Any) -> tuple[str, ...]:
    """Returns the class names in a value read from JSON.

    Raises:
      ValueError: the value is not a list of strings, or it is empty.
    """
    strings = isinstance(names, list) and all(isinstance(x, str) for x in names)
    if not strings or not names:
        raise ValueError(f'{names!r:.80} is not a list of class names')
    return tuple(names)


def class_names_digest(names: Sequence[str]) -> str:
    """Returns 12 hexadecimal digits for the class names in their order."""
    return hashlib.sha256('\n'.join(names).encode()).hexdigest()[:12]


def imagenet_labels() -> tuple[str, ...]:
    """Returns the 1,000 WordNet ids in alphabetical order, which is label order."""
    # Importing TFDS takes seconds; finding its folder does not.
    (folder,) = importlib.util.find_spec(
        'tensorflow_datasets'
    ).submodule_search_locations
    labels = Path(folder, 'datasets', 'imagenet2012', 'labels.txt').read_text()
    return tuple(labels.split())
