"""Keras's files: .h5, .weights.h5, and .keras, an archive with one of the latter.

Arrays are named by layer, as in conv2d_3/kernel, whichever of them it is.
"""

import contextlib
import io
import math
from collections.abc import Iterator
from pathlib import Path

import h5py

from inception_jax.weights.files.errors import NotWeights, archive, damaged
from inception_jax.weights.files.lazy_array import LazyArray

IN_ARCHIVE = 'model.weights.h5'
# A group of these holds a layer's arrays by number, and says its name.
BY_NUMBER = 'vars'
# Numbers in a piece of an array, below which none is refused.
MOST_CHUNK = 2**20
NORM = ('beta', 'moving_mean', 'moving_variance')
LAYER = ('kernel', 'bias')


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of an .h5 file; see `files.opened`."""
    with _file(path) as arrays:
        yield arrays


@contextlib.contextmanager
def opened_archive(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a .keras file; see `files.opened`."""
    with archive(path) as packed:
        inner = io.BytesIO(packed.read(IN_ARCHIVE))
    with _file(inner) as arrays:
        yield arrays


@contextlib.contextmanager
def _file(source: Path | io.BytesIO) -> Iterator[dict[str, LazyArray]]:
    with contextlib.ExitStack() as held:
        # Names that are no text and types that NumPy lacks are errors of Python's own.
        with damaged(OSError, RuntimeError, KeyError, TypeError, ValueError):
            file = held.enter_context(h5py.File(source))
            arrays = _by_name(file)
        yield arrays


def _by_name(file: h5py.File) -> dict[str, LazyArray]:
    places = {}
    for place in (found := _arrays(file)):
        name = _name(file, place)
        if name in places:
            raise NotWeights(f'has {name} twice, as {places[name]} and as {place}')
        places[name] = place
    return {name: _stored(found[place]) for name, place in places.items()}


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Returns the arrays of a model by their places; those of its training are not."""
    found = {}

    def collect(name: str, item) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith('optimizer'):
            found[name] = item

    # It follows hard links alone, never into another file.
    file.visititems(collect)
    for name, array in found.items():
        if array.external or array.is_virtual:
            raise NotWeights(f'takes {name} from another file; weights stand in one')
        # A piece is unpacked whole, however little of it the array is.
        if math.prod(array.chunks or ()) > max(array.size or 0, MOST_CHUNK):
            raise NotWeights(f'holds {name} in pieces that are larger than it is')
    return found


def _name(file: h5py.File, place: str) -> str:
    """Returns the name of an array: its layer's, and what it is there."""
    layer, _, own = place.removeprefix('model_weights/').partition('/')
    parent, _, number = place.rpartition('/')
    if not parent.endswith(f'/{BY_NUMBER}'):
        # As in conv2d_3/conv2d_3/kernel:0.
        return f'{layer}/{own.rpartition("/")[2].removesuffix(":0")}'
    group = file[parent]
    layer = group.attrs.get('name')
    if not isinstance(layer, str):
        raise NotWeights(
            'does not name its layers, as an early Keras 3 left it; load the model '
            'there, and save it as .h5 or with a newer Keras'
        )
    names = NORM if len(group) > len(LAYER) else LAYER
    # With a gamma there is one more, the first.
    names = ('gamma', *names) if len(group) > len(NORM) else names
    return f'{layer}/{dict(enumerate(names)).get(_number(number), number)}'


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def _stored(array: h5py.Dataset) -> LazyArray:
    # One without any values has no shape.
    return LazyArray(array.shape or (), str(array.dtype), lambda: array[()])
