"""Arrays in a file, which are read when their values are asked for.

Names, shapes and types are looked at before, so that a file takes no more memory than
the network that it is for.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class LazyArray(NamedTuple):
    """An array of this shape and type in a file, and what reads it."""

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.read(), dtype)
