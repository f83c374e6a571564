"""What every source of images gives: examples by index."""

from typing import NamedTuple, Protocol

import numpy as np


class Example(NamedTuple):
    """An image with its label.

    `image` is an encoded file, or pixels: uint8 [height, width] or [height, width, 3].
    `id` names the example in its source.
    """

    image: bytes | np.ndarray
    label: int
    id: str


class Unreadable(ValueError):
    """An example cannot be read or decoded; the text names it."""


class Source(Protocol):
    """A sequence of examples; it is read by several threads at once."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each label."""

    @property
    def classes(self) -> int:
        """The number of classes; labels run from 0 to one less."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...
