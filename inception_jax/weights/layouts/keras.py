"""Keras's Inception-v3 and Inception-ResNet-v2 (keras.applications).

They are TF-Slim's networks without auxiliary heads and background class. A layer that
the code of Keras does not name is called conv2d, conv2d_1, ... in the order of
creation, which is the order of `network_layers`. If the process created other networks
before, the numbers in its files start later.
"""

import re
from collections.abc import Iterator, Sequence

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts.layout import Layout
from inception_jax.weights.translation import ArrayEntry, ArrayNames, Arrays, NamedLayer

NAMES = ArrayNames(
    kernel='/kernel',
    linear='/kernel',
    bias='/bias',
    beta='/beta',
    gamma=None,
    mean='/moving_mean',
    variance='/moving_variance',
)
# The name of the 1x1 convolution that ends a residual branch, by stage.
BLOCKS = {'a': 'block35', 'b': 'block17', 'c': 'block8', 'c_last': 'block8_10'}
COUNTED = ('conv2d', 'batch_normalization')


def _name_layers(network: Network) -> Iterator[NamedLayer]:
    number = 0
    for place in network_layers(network):
        if name := _fixed_name(place):
            yield NamedLayer(place, name, f'{name}_bn')
        else:
            kernel, norm = (_numbered(kind, number) for kind in COUNTED)
            yield NamedLayer(place, kernel, norm)
            number += 1


def _fixed_name(place: LayerPlace) -> str | None:
    """Returns the name that the code of Keras gives a layer, None if it is counted."""
    if place.block == 'logits':
        return 'predictions'
    if place.stage == 'final':
        return 'conv_7b'
    if place.leaf.op.linear:
        number = place.block.removeprefix(place.stage)
        return f'{BLOCKS[place.stage]}{number}_conv'
    return None


def _numbered(kind: str, number: int) -> str:
    return f'{kind}_{number}' if number else kind


def _count_from_0(
    network: Network, arrays: Arrays, entries: Sequence[ArrayEntry]
) -> Arrays:
    """Returns the arrays with the numbers of counted layers shifted to start at 0."""
    counts = {name: _kind_and_number(name) for name in arrays}
    first = {
        kind: min((n for other, n in counts.values() if other == kind), default=0)
        for kind in COUNTED
    }
    renamed = {}
    for name, array in arrays.items():
        kind, number = counts[name]
        if kind:
            layer = _numbered(kind, number - first[kind])
            name = f'{layer}/{name.partition("/")[2]}'
        renamed[name] = array
    return renamed


def _kind_and_number(name: str) -> tuple[str | None, int]:
    """Returns the kind and number of a counted layer, (None, 0) for other layers."""
    match = re.match(rf'({"|".join(COUNTED)})(?:_(\d+))?/', name)
    return (match[1], int(match[2] or 0)) if match else (None, 0)


KERAS = Layout(
    library='Keras',
    networks=('inception_v3', 'inception_resnet_v2_slim'),
    auxiliary=False,
    names=NAMES,
    name_layers=_name_layers,
    prepare=_count_from_0,
)
