"""Examples, and the protocol that every source of images follows."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np


class Example(NamedTuple):
    """An image with its label.

    `image` holds the bytes of an image file, or pixels as uint8 [height, width] or
    [height, width, 3]. `label` is in 0 .. classes - 1. `id` names the example in its
    source.
    """

    image: bytes | np.ndarray
    label: int
    id: str


class Unreadable(ValueError):
    """An example cannot be read or decoded; the message names it."""


class Source(Protocol):
    """A sequence of examples that several threads may read at once."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the labels."""

    @property
    def classes(self) -> int:
        """The number of classes; labels are in 0 .. classes - 1."""

    def listing(self) -> Iterable[str]:
        """Returns lines that change if an id, a label or the size of an image changes.

        It reads no image. `data.content.source_identity` turns it into a digest.
        """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...
