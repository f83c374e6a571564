"""Files of Keras: .h5, .weights.h5, and .keras, an archive with a .weights.h5.

In all three, arrays are named layer/array, as in conv2d_3/kernel.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import h5py

from inception_jax.weights.files.errors import (
    NotWeights,
    damage_as_not_weights,
    open_archive,
)
from inception_jax.weights.files.lazy_array import LazyArray

IN_ARCHIVE = 'model.weights.h5'
# A group of this name holds the arrays of a layer by number, and names the layer.
BY_NUMBER = 'vars'
# A chunk of an array may always have as many numbers.
MOST_CHUNK = 2**20
NORM = ('beta', 'moving_mean', 'moving_variance')
LAYER = ('kernel', 'bias')


@contextlib.contextmanager
def open_h5(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of an .h5 file; see `open_arrays`."""
    with _file(path) as arrays:
        yield arrays


@contextlib.contextmanager
def open_keras(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a .keras file; see `open_arrays`."""
    with open_archive(path) as archive:
        inner = io.BytesIO(archive.read(IN_ARCHIVE))
    with _file(inner) as arrays:
        yield arrays


@contextlib.contextmanager
def _file(source: Path | io.BytesIO) -> Iterator[dict[str, LazyArray]]:
    with contextlib.ExitStack() as stack:
        # h5py raises many kinds of errors for odd names and types.
        with damage_as_not_weights(
            OSError, RuntimeError, KeyError, TypeError, ValueError
        ):
            file = stack.enter_context(h5py.File(source))
            arrays = _by_name(file)
        yield arrays


def _by_name(file: h5py.File) -> dict[str, LazyArray]:
    datasets, paths = _datasets(file), {}
    for path in datasets:
        name = _name(file, path)
        if name in paths:
            raise NotWeights(f'has {name} twice, as {paths[name]} and as {path}')
        paths[name] = path
    return {name: _lazy(datasets[path]) for name, path in paths.items()}


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Returns the arrays of a model by their paths, without those of the optimizer."""
    datasets = {}

    def collect(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith('optimizer'):
            datasets[name] = item

    # visititems follows only hard links, never into another file.
    file.visititems(collect)
    for name, array in datasets.items():
        if array.external or array.is_virtual:
            raise NotWeights(f'takes {name} from another file; expected one file')
        # A chunk is unpacked whole, however small the array is.
        if math.prod(array.chunks or ()) > max(array.size or 0, MOST_CHUNK):
            raise NotWeights(f'holds {name} in chunks that are larger than the array')
    return datasets


def _name(file: h5py.File, path: str) -> str:
    """Returns the name of an array, layer/array."""
    parent, _, number = path.rpartition('/')
    if not parent.endswith(f'/{BY_NUMBER}'):
        # For example conv2d_3/conv2d_3/kernel:0, or, if the network is a layer of
        # another model, inception_v3/conv2d_3/kernel:0.
        *_, layer, array = path.split('/') if '/' in path else ('', path)
        return f'{layer}/{array.removesuffix(":0")}'
    group = file[parent]
    layer = group.attrs.get('name')
    if not isinstance(layer, str):
        raise NotWeights(
            'does not name its layers: an early Keras 3 wrote it; load the model '
            'there, and save it as .h5 or with a newer Keras'
        )
    names = NORM if len(group) > len(LAYER) else LAYER
    # A gamma, if there is one, comes first.
    names = ('gamma', *names) if len(group) > len(NORM) else names
    return f'{layer}/{dict(enumerate(names)).get(_number(number), number)}'


def _number(name: str) -> int:
    return int(name) if name.isdecimal() else -1


def _lazy(array: h5py.Dataset) -> LazyArray:
    # An empty dataset has no shape.
    return LazyArray(array.shape or (), str(array.dtype), lambda: array[()])
