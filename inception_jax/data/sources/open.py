"""Sources of images by name, and those that need no files."""

import dataclasses
import importlib.util
import re
import zlib
from pathlib import Path

import numpy as np

from inception_jax.data.example import Example, Source
from inception_jax.data.sources.folder import open_folder
from inception_jax.data.sources.tfds import open_tfds
from inception_jax.runtime.choices import nearest

FORMS = {
    'digits': 'digits',
    'tfds': 'tfds:NAME[/CONFIG][/VERSION]',
    'folder': 'folder:PATH',
    'synthetic': 'synthetic[:EXAMPLES/CLASSES]',
}
# In the folder of scikit-learn.
DIGITS = 'datasets/data/digits.csv.gz'


def open_source(spec: str, split: str | None, *, data_dir: str | None = None) -> Source:
    """Opens a part of a data set.

    `spec` has one of the forms
      digits: 1,797 handwritten digits of 8x8 pixels that come with scikit-learn; every
        fifth one is in the split `test`, the others are in `train`;
      tfds:NAME[/CONFIG][/VERSION]: a set that TFDS has prepared, in `data_dir`, else in
        $TFDS_DATA_DIR, else where TFDS puts it; the newest version unless one is given;
      folder:PATH: image files in PATH/SPLIT/CLASS/, without a split in PATH/CLASS/; or
        in PATH/SPLIT/ with their labels in PATH/SPLIT.txt (`flat_folder`);
      synthetic:EXAMPLES/CLASSES: made-up images, 1024/10 unless given; every split has
        other images of the same classes.

    Raises:
      ValueError: there is no such form, set or split, no image in it, or no label for
        one.
    """
    form, _, rest = spec.partition(':')
    if form == 'tfds' and rest:
        return open_tfds(rest, split, data_dir=data_dir)
    if form == 'folder' and rest:
        return open_folder(rest, split)
    if form == 'synthetic':
        return _synthetic(spec, split)
    if spec == 'digits':
        return _digits(split)
    near = nearest(form, FORMS)
    hint = f'did you mean {FORMS[near]}? ' if near else ''
    raise ValueError(
        f'unknown source {spec!r}; {hint}The forms are {", ".join(FORMS.values())}'
    )


@dataclasses.dataclass(frozen=True)
class Arrays:
    """Images in memory: uint8 [number, height, width] or [number, height, width, 3]."""

    images: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Example:
        return Example(self.images[index], int(self.labels[index]), self.ids[index])


def _digits(split: str | None) -> Arrays:
    if split not in ('train', 'test'):
        raise ValueError(f'digits has no split {split!r}; its splits are train, test')
    pixels, labels = _digits_table()
    indices = np.arange(len(labels))
    indices = indices[(indices % 5 == 4) == (split == 'test')]
    return Arrays(
        images=np.rint(pixels[indices] * (255 / 16)).astype(np.uint8),
        labels=labels[indices],
        ids=tuple(f'digits/{index}' for index in indices),
        class_names=tuple(map(str, range(10))),
    )


def _digits_table() -> tuple[np.ndarray, np.ndarray]:
    """Returns scikit-learn's digits [number, 8, 8], from 0 to 16, and their labels."""
    spec = importlib.util.find_spec('sklearn')
    for folder in spec.submodule_search_locations if spec else ():
        # Its own function is more than a second of import.
        file = Path(folder, DIGITS)
        if file.exists():
            table = np.loadtxt(file, delimiter=',')
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images, digits.target


@dataclasses.dataclass(frozen=True)
class Synthetic:
    """Noise over a mosaic of 8x8 colours that is the class's own; 64x64 pixels."""

    examples: int
    classes: int
    split: str

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(str(label) for label in range(self.classes))

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


def _synthetic(spec: str, split: str | None) -> Synthetic:
    _, _, sizes = spec.partition(':')
    numbers = re.fullmatch(r'([1-9]\d*)/([1-9]\d*)', sizes or '1024/10')
    if not numbers:
        raise ValueError(
            f'{spec!r} does not say how many examples and classes; write e.g. '
            'synthetic:1024/10'
        )
    examples, classes = map(int, numbers.groups())
    return Synthetic(examples, classes, split or 'all')
