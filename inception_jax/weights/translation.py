"""Translates arrays under the names of a layout to our variables and back, strictly.

Nothing is guessed: an array that is missing, that is not expected or that has another
shape is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Conv
from inception_jax.weights.layers import LayerPlace

# Arrays by name: NumPy arrays, or `LazyArray`s whose values are read late.
Arrays = Mapping[str, Any]
Path = tuple[str, ...]

FLOATS = ('float16', 'bfloat16', 'float32', 'float64')

# How many array names an error message lists for each kind of error.
MOST_NAMES = 5


class ArrayNames(NamedTuple):
    """The names of the arrays of a layer in a layout, and the order of kernel axes.

    `kernel` belongs to a convolution with batch norm, `linear` and `bias` to any other
    layer. `gamma` is None if the layout has none. `counter` is a number of batches that
    each batch norm counts in training, if the layout has it.

    `axes` is the order in which the layout stores our kernel axes (height, width,
    input, output), `dense` that of (input, output).
    """

    kernel: str
    linear: str
    bias: str
    beta: str
    gamma: str | None
    mean: str
    variance: str
    axes: tuple[int, ...] = (0, 1, 2, 3)
    dense: tuple[int, ...] = (0, 1)
    counter: str | None = None


class NamedLayer(NamedTuple):
    """A layer of our network, with the prefixes of its arrays and of its batch norm.

    `as_convolution` is whether the layout stores a dense layer as a 1x1 convolution.
    """

    place: LayerPlace
    prefix: str
    norm_prefix: str
    as_convolution: bool = False


class ArrayEntry(NamedTuple):
    """An array of a layout and the path of the variable that has its values.

    `shape` is the shape in the file. Our variable, transposed by `axes`, has the shape
    `transposed`, which is `shape` up to axes of length 1. An array that the network
    lacks, a gamma, must equal `constant` everywhere.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    transposed: tuple[int, ...]
    axes: tuple[int, ...]
    constant: float | None = None


def layout_entries(
    network: Network, layers: Iterable[NamedLayer], names: ArrayNames
) -> list[ArrayEntry]:
    """Returns the arrays of these layers, in their order.

    If the network has no gammas, those of the layout must be 1.
    """
    entries = []
    for place, prefix, norm_prefix, as_convolution in layers:
        leaf = place.leaf
        params = ('params', place.block, leaf.name)
        channels = (leaf.output[2],)
        kernel = (*(leaf.window or ()), leaf.input[2], *channels)
        axes = names.axes if isinstance(leaf.op, Conv) else names.dense
        transposed = tuple(kernel[axis] for axis in axes)
        shape = (1, 1, *transposed) if as_convolution else transposed
        name = prefix + (names.kernel if leaf.batch_norm_channels else names.linear)
        entries.append(ArrayEntry(name, (*params, 'kernel'), shape, transposed, axes))
        if not leaf.batch_norm_channels:
            entries.append(_vector(prefix + names.bias, (*params, 'bias'), channels))
            continue
        norm = (*params, 'bn')
        statistics = ('batch_stats', *norm[1:])
        vectors = [
            (names.beta, (*norm, 'bias'), None),
            (names.mean, (*statistics, 'mean'), None),
            (names.variance, (*statistics, 'var'), None),
        ]
        if names.gamma:
            constant = None if network.batch_norm_gamma else 1.0
            vectors.append((names.gamma, (*norm, 'scale'), constant))
        entries += [
            _vector(norm_prefix + name, path, channels, constant)
            for name, path, constant in vectors
        ]
    return entries


def _vector(name, path, channels, constant=None) -> ArrayEntry:
    return ArrayEntry(name, path, channels, channels, (0,), constant)


def read_variables(
    arrays: Arrays, entries: Sequence[ArrayEntry], is_ignored: Callable[[str], bool]
) -> dict[str, Any]:
    """Returns our variables, float32, from the arrays of a file.

    Args:
      is_ignored: whether an array that no entry names is left out on purpose.

    Raises:
      ValueError: arrays are missing, not expected, of another shape or type, or not
        finite; a variance is below 0; or a gamma that the network lacks is not 1.
    """
    _check_arrays(arrays, entries, is_ignored)
    variables, invalid = {}, []
    for entry in entries:
        with np.errstate(over='ignore'):
            # A value beyond float32 becomes infinite, which is refused.
            value = np.asarray(arrays[entry.name], np.float32)
        if not np.isfinite(value).all() or (_is_variance(entry) and value.min() < 0):
            invalid.append(entry.name)
        elif entry.constant is None:
            value = value.reshape(entry.transposed).transpose(np.argsort(entry.axes))
            _put(variables, entry.path, value)
        elif not (value == entry.constant).all():
            raise ValueError(
                f'{entry.name} is not {entry.constant:g} everywhere, and the network '
                'has no gamma; use one with batch_norm_gamma'
            )
    if invalid:
        raise ValueError(_count_and_list('not finite, or a variance below 0', invalid))
    return variables


def _is_variance(entry: ArrayEntry) -> bool:
    return (entry.path[0], entry.path[-1]) == ('batch_stats', 'var')


def _check_arrays(
    arrays: Arrays, entries: Sequence[ArrayEntry], is_ignored: Callable[[str], bool]
) -> None:
    """Raises ValueError unless names, shapes and types are those of the entries."""
    names = {entry.name for entry in entries}
    pairs = [(entry, arrays[entry.name]) for entry in entries if entry.name in arrays]
    errors = {
        'missing': [entry.name for entry in entries if entry.name not in arrays],
        'not expected': [
            name for name in arrays if name not in names and not is_ignored(name)
        ],
        'of another shape': [
            f'{entry.name} {_shape_text(array.shape)}, expected '
            f'{_shape_text(entry.shape)}'
            for entry, array in pairs
            if tuple(array.shape) != entry.shape
        ],
        'of another type': [
            f'{entry.name} {array.dtype}, expected float32'
            for entry, array in pairs
            if str(array.dtype) not in FLOATS
        ],
    }
    if any(errors.values()):
        raise ValueError(
            '; '.join(
                _count_and_list(kind, names) for kind, names in errors.items() if names
            )
        )


def write_variables(
    variables: Mapping[str, Any], entries: Sequence[ArrayEntry]
) -> dict[str, np.ndarray]:
    """Returns the arrays, float32 by name, from which `read_variables` reads these."""
    return {
        entry.name: np.full(entry.shape, entry.constant, np.float32)
        if entry.constant is not None
        else np.ascontiguousarray(
            np.asarray(_get(variables, entry.path), np.float32).transpose(entry.axes)
        ).reshape(entry.shape)
        for entry in entries
    }


def _put(tree: dict, path: Path, value: np.ndarray) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = np.ascontiguousarray(value)


def _get(tree: Mapping, path: Path):
    for name in path:
        tree = tree[name]
    return tree


def _count_and_list(kind: str, names: Sequence[str]) -> str:
    more = f' and {len(names) - MOST_NAMES} more' if len(names) > MOST_NAMES else ''
    return f'{len(names)} {kind}: {", ".join(names[:MOST_NAMES])}{more}'


def _shape_text(shape: tuple[int, ...]) -> str:
    return 'x'.join(map(str, shape)) or 'scalar'
