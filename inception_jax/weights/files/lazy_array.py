"""Arrays in a file whose values are read when they are needed.

Names, shapes and types are checked first, so a file never takes more memory than the
network that it belongs to.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class LazyArray(NamedTuple):
    """The shape and type of an array in a file, and the function that reads it."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.read(), dtype)
