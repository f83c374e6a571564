"""Opens a source of images by its name."""

from inception_jax.data.example import Source
from inception_jax.data.sources.arrays import open_digits
from inception_jax.data.sources.folder import open_folder
from inception_jax.data.sources.synthetic import open_synthetic
from inception_jax.data.sources.tfds import open_tfds
from inception_jax.runtime.choices import nearest

FORMS = {
    'digits': 'digits',
    'tfds': 'tfds:NAME[/CONFIG][/VERSION]',
    'folder': 'folder:PATH',
    'synthetic': 'synthetic[:EXAMPLES/CLASSES]',
}


def open_source(spec: str, split: str | None, *, data_dir: str | None = None) -> Source:
    """Opens a split of a data set.

    `spec` has one of these forms:

    - `digits`: scikit-learn's 1,797 handwritten digits of 8x8 pixels. Every fifth digit
      is in the split `test`, the others are in `train`.
    - `tfds:NAME[/CONFIG][/VERSION]`: a data set that TFDS has prepared, in `data_dir`,
      else in $TFDS_DATA_DIR, else in ~/tensorflow_datasets. Without a version, the
      newest version is opened.
    - `folder:PATH`: image files in PATH/SPLIT/CLASS/, or in PATH/CLASS/ without a
      split; or in PATH/SPLIT/ with labels in PATH/SPLIT.txt (`read_labels`).
    - `synthetic:EXAMPLES/CLASSES`: random images of 64x64 pixels, 1024/10 by default.
      Splits have different images of the same classes.

    A split of a folder or of TFDS may name a part: train[:80%] or train[100:].

    Raises:
      ValueError: the form, the data set or the split does not exist, the split has no
        image, or an image has no label.

    >>> source = open_source('synthetic:6/2', 'train')
    >>> len(source), source.class_names, source[1].label, source[1].image.shape
    (6, ('0', '1'), 1, (64, 64, 3))
    """
    form, _, rest = spec.partition(':')
    if form == 'tfds' and rest:
        return open_tfds(rest, split, data_dir=data_dir)
    if form == 'folder' and rest:
        return open_folder(rest, split)
    if form == 'synthetic':
        return open_synthetic(spec, split)
    if spec == 'digits':
        return open_digits(split)
    near = nearest(form, FORMS)
    hint = f'did you mean {FORMS[near]}? The' if near else 'the'
    raise ValueError(
        f'unknown source {spec!r}; {hint} forms are {", ".join(FORMS.values())}'
    )
