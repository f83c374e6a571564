"""Arrays by the names of a layout to our variables and back, strictly."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Conv
from inception_jax.weights.layers import LayerPlace

# Of a file they are `stored.Stored`: shape and type without the values.
Arrays = Mapping[str, Any]
Path = tuple[str, ...]

FLOATS = ('float16', 'bfloat16', 'float32', 'float64')

# How many names of each kind of mistake a message holds.
MOST_NAMES = 5


class Names(NamedTuple):
    """What a layout calls the arrays of a layer, and how its kernels lie.

    `kernel` is followed by batch norm, `linear` by a bias. `axes` are those of ours
    (height, width, input, output) in the order of its kernels, and `dense` the same of
    kernels of two axes.
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


class Layer(NamedTuple):
    """A layer of ours, and in a layout the prefixes of it and of its batch norm."""

    place: LayerPlace
    prefix: str
    norm: str


class Entry(NamedTuple):
    """An array of a layout and its place among our variables.

    Ours, transposed to `axes`, has the shape `lying`; theirs has the same values in the
    shape `shape`. One that the network does not have is `constant`.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    lying: tuple[int, ...]
    axes: tuple[int, ...]
    constant: float | None = None


def layout_entries(
    network: Network, layers: Iterable[Layer], names: Names
) -> list[Entry]:
    """Returns the arrays of layers in a layout.

    A gamma of which the network has none must be 1 everywhere.
    """
    found = []
    for place, prefix, norm_prefix in layers:
        leaf, at = place.leaf, ('params', place.block, place.leaf.name)
        channels = (leaf.output[2],)
        kernel = (*(leaf.window or ()), leaf.input[2], *channels)
        axes = names.axes if isinstance(leaf.op, Conv) else names.dense
        shape = tuple(kernel[axis] for axis in axes)
        name = prefix + (names.kernel if leaf.batch_norm_channels else names.linear)
        found.append(Entry(name, (*at, 'kernel'), shape, shape, axes))
        if not leaf.batch_norm_channels:
            found.append(_vector(prefix + names.bias, (*at, 'bias'), channels))
            continue
        norm, seen = (*at, 'bn'), ('batch_stats', *at[1:], 'bn')
        rest = [
            (names.beta, (*norm, 'bias'), None),
            (names.mean, (*seen, 'mean'), None),
            (names.variance, (*seen, 'var'), None),
        ]
        if names.gamma:
            constant = None if network.batch_norm_gamma else 1.0
            rest.append((names.gamma, (*norm, 'scale'), constant))
        found += [
            _vector(norm_prefix + name, path, channels, constant)
            for name, path, constant in rest
        ]
    return found


def _vector(name, path, channels, constant=None) -> Entry:
    return Entry(name, path, channels, channels, (0,), constant)


def read_variables(arrays: Arrays, wanted: Sequence[Entry], ignored: Callable) -> dict:
    """Returns our variables, float32, of arrays in a layout.

    Args:
      ignored: tells of a name that no entry has whether it is left out on purpose.

    Raises:
      ValueError: arrays are missing, not expected, of another shape or no numbers that
        a network can have, or a gamma that the network does not have is not 1.
    """
    _check_names(arrays, wanted, ignored)
    variables, odd = {}, []
    for entry in wanted:
        with np.errstate(over='ignore'):
            # What float32 does not reach is infinite, and refused.
            value = np.asarray(arrays[entry.name], np.float32)
        if not np.isfinite(value).all() or (_is_variance(entry) and value.min() < 0):
            odd.append(entry.name)
        elif entry.constant is None:
            value = value.reshape(entry.lying).transpose(np.argsort(entry.axes))
            _put(variables, entry.path, value)
        elif not (value == entry.constant).all():
            raise ValueError(
                f'{entry.name} is not {entry.constant:g} everywhere, and the network '
                'has no gamma; use one with batch_norm_gamma'
            )
    if odd:
        raise ValueError(_listed('not finite, or a variance below 0', odd))
    return variables


def _is_variance(entry: Entry) -> bool:
    return (entry.path[0], entry.path[-1]) == ('batch_stats', 'var')


def _check_names(arrays: Arrays, wanted: Sequence[Entry], ignored: Callable) -> None:
    """Raises ValueError unless the names, shapes and types are those wanted."""
    names = {entry.name for entry in wanted}
    there = [(entry, arrays[entry.name]) for entry in wanted if entry.name in arrays]
    faults = {
        'missing': [entry.name for entry in wanted if entry.name not in arrays],
        'not expected': [n for n in arrays if n not in names and not ignored(n)],
        'of another shape': [
            f'{entry.name} {_text(x.shape)}, expected {_text(entry.shape)}'
            for entry, x in there
            if tuple(x.shape) != entry.shape
        ],
        'of another type': [
            f'{entry.name} {x.dtype}, expected float32'
            for entry, x in there
            if str(x.dtype) not in FLOATS
        ],
    }
    if any(faults.values()):
        raise ValueError(
            '; '.join(_listed(what, found) for what, found in faults.items() if found)
        )


def write_variables(
    variables: Mapping, wanted: Sequence[Entry]
) -> dict[str, np.ndarray]:
    """Returns the arrays of a layout that `read` makes these variables of."""
    return {
        entry.name: np.full(entry.shape, entry.constant, np.float32)
        if entry.constant is not None
        else np.ascontiguousarray(
            np.asarray(_get(variables, entry.path), np.float32).transpose(entry.axes)
        ).reshape(entry.shape)
        for entry in wanted
    }


def _put(tree: dict, path: Path, value: np.ndarray) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = np.ascontiguousarray(value)


def _get(tree: Mapping, path: Path):
    for name in path:
        tree = tree[name]
    return tree


def _listed(what: str, found: Sequence[str]) -> str:
    more = f' and {len(found) - MOST_NAMES} more' if len(found) > MOST_NAMES else ''
    return f'{len(found)} {what}: {", ".join(found[:MOST_NAMES])}{more}'


def _text(shape: tuple[int, ...]) -> str:
    return 'x'.join(map(str, shape)) or 'scalar'
