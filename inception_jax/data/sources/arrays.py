"""Images in memory, and scikit-learn's handwritten digits."""

import dataclasses
import importlib.util
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inception_jax.data.example import Example

# The path of the digits inside the package scikit-learn.
DIGITS = 'datasets/data/digits.csv.gz'


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Images in memory: each uint8 [height, width] or [height, width, 3]."""

    images: np.ndarray | Sequence[np.ndarray]
    labels: np.ndarray
    ids: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def listing(self) -> Iterator[tuple[str, str]]:
        for name, label, image in zip(self.ids, self.labels, self.images, strict=True):
            yield f'{name} {label}', str(zlib.crc32(np.ascontiguousarray(image)))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return Example(self.images[index], int(self.labels[index]), self.ids[index])


def open_digits(split: str | None) -> Arrays:
    """Returns scikit-learn's digits: every fifth one for 'test', the rest for 'train'.

    Raises:
      ValueError: there is no such split.
    """
    if split not in ('train', 'test'):
        raise ValueError(f'digits has no split {split!r}; its splits are train, test')
    pixels, labels = _load_digits()
    indices = np.arange(len(labels))
    indices = indices[(indices % 5 == 4) == (split == 'test')]
    return Arrays(
        images=np.rint(pixels[indices] * (255 / 16)).astype(np.uint8),
        labels=labels[indices],
        ids=tuple(f'digits/{index}' for index in indices),
        class_names=tuple(map(str, range(10))),
    )


def _load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns the digits [number, 8, 8] with values 0 .. 16, and their labels."""
    spec = importlib.util.find_spec('sklearn')
    for folder in spec.submodule_search_locations if spec else ():
        # Importing scikit-learn takes more than a second; reading its file does not.
        file = Path(folder, DIGITS)
        if file.exists():
            table = np.loadtxt(file, delimiter=',')
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images, digits.target
