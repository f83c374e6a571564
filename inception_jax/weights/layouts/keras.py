"""Keras's Inception-v3 and Inception-ResNet-v2 (keras.applications).

They are TF-Slim's without auxiliary heads and background. Layers that its code gives no
name are called conv2d, conv2d_1, ... in the order in which it makes them, which is that
of our walk. In a process that made other networks before, and in its files, the numbers
begin later.
"""

import re
from collections.abc import Iterator

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.variables import (
    Arrays,
    Entry,
    Layer,
    Names,
    layout_entries,
    read_variables,
    write_variables,
)

NAMES = Names(
    kernel='/kernel',
    linear='/kernel',
    bias='/bias',
    beta='/beta',
    gamma=None,
    mean='/moving_mean',
    variance='/moving_variance',
)
# The 1x1 that ends a residual branch, by the name of its stage.
BLOCKS = {'a': 'block35', 'b': 'block17', 'c': 'block8', 'c_last': 'block8_10'}
COUNTED = ('conv2d', 'batch_normalization')


def variables(network: Network, arrays: Arrays) -> dict:
    """Returns the variables of a network from arrays by layer, as in conv2d_3/kernel.

    Raises:
      ValueError: the network has no such layout, or the arrays are not its own.
    """
    return read_variables(_counted_from_0(arrays), entries(network), lambda name: False)


def arrays(network: Network, variables: dict) -> dict[str, np.ndarray]:
    """Returns the arrays of a network by layer, counted from 0.

    Raises:
      ValueError: the network has no such layout.
    """
    return write_variables(variables, entries(network))


def entries(network: Network) -> list[Entry]:
    """Returns the arrays of a network in this layout, in the order of its walk.

    Raises:
      ValueError: the network has no such layout.
    """
    return layout_entries(network, layers(network), NAMES)


def layers(network: Network) -> Iterator[Layer]:
    """Yields the layers of a network, each with its name and that of its batch norm.

    Raises:
      ValueError: the network has no such layout.
    """
    known = ('inception_v3', 'inception_resnet_v2_slim')
    if network.name not in known or network.auxiliary:
        head = ' with an auxiliary head' if network.auxiliary else ''
        raise ValueError(
            f'Keras has no {network.name}{head}; it has {" and ".join(known)} without'
        )
    number = 0
    for place in network_layers(network):
        name = _own_name(place)
        if name:
            yield Layer(place, name, f'{name}_bn')
        else:
            end = f'_{number}' if number else ''
            yield Layer(place, f'conv2d{end}', f'batch_normalization{end}')
            number += 1


def _own_name(place: LayerPlace) -> str | None:
    """Returns the name that Keras's code gives a layer, None for a counted one."""
    if place.block == 'logits':
        return 'predictions'
    if place.stage == 'final':
        return 'conv_7b'
    if place.leaf.op.linear:
        number = place.block.removeprefix(place.stage)
        return f'{BLOCKS[place.stage]}{number}_conv'
    return None


def _counted_from_0(arrays: Arrays) -> Arrays:
    """Returns arrays whose counted layers begin with conv2d and batch_normalization."""
    found = {}
    numbers = {kind: [] for kind in COUNTED}
    for name in arrays:
        kind, number = _count(name)
        if kind:
            numbers[kind].append(number)
    for name, array in arrays.items():
        kind, number = _count(name)
        if kind:
            number -= min(numbers[kind])
            end = f'_{number}' if number else ''
            name = f'{kind}{end}/{name.partition("/")[2]}'
        found[name] = array
    return found


def _count(name: str) -> tuple[str | None, int]:
    """Returns which kind of counted layer a name is of, if of any, and its number."""
    match = re.match(rf'({"|".join(COUNTED)})(?:_(\d+))?/', name)
    return (match[1], int(match[2] or 0)) if match else (None, 0)
