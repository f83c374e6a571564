"""Random images with classes that a network can learn, for tests and timings."""

import dataclasses
import re
import zlib
from collections.abc import Iterator

import numpy as np

from inception_jax.data.example import Example


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """Images uint8 [64, 64, 3]: noise over a mosaic of 8x8 colours of the class."""

    examples: int
    classes: int
    split: str

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(label) for label in range(self.classes))

    def listing(self) -> Iterator[tuple[str, str]]:
        yield f'{self.split} {self.examples}/{self.classes}', ''

    def __len__(self) -> int:
        return self.examples

    def __getitem__(self, index: int) -> Example:
        if not 0 <= index < self.examples:
            raise IndexError(f'no example {index} among {self.examples}')
        label = index % self.classes
        mosaic = np.random.default_rng(label).integers(128, size=(8, 8, 3))
        noise = np.random.default_rng((zlib.crc32(self.split.encode()), index))
        image = mosaic.repeat(8, axis=0).repeat(8, axis=1)
        image = image + noise.integers(128, size=image.shape)
        return Example(image.astype(np.uint8), label, f'synthetic/{self.split}/{index}')


def open_synthetic(spec: str, split: str | None) -> Synthetic:
    """Returns the images of `synthetic[:EXAMPLES/CLASSES]`.

    Raises:
      ValueError: the numbers are missing, 0 or too large.
    """
    _, _, sizes = spec.partition(':')
    numbers = re.fullmatch(r'([1-9]\d*)/([1-9]\d*)', sizes or '1024/10')
    if not numbers:
        raise ValueError(
            f'{spec!r} does not name the numbers of examples and classes; write e.g. '
            'synthetic:1024/10'
        )
    if len(max(numbers.groups(), key=len)) > 9:
        raise ValueError(
            f'{spec!r:.80} has a number of more than 9 digits; write e.g. '
            'synthetic:1024/10'
        )
    examples, classes = map(int, numbers.groups())
    return Synthetic(examples, classes, split or 'all')
