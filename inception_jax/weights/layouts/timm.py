"""timm's Inception-v4 and -ResNet-v2 (inception_v4.py, inception_resnet_v2.py).

They are TF-Slim's without auxiliary heads, with gammas. Its Inception-v3 is
torchvision's.
"""

import functools
from collections.abc import Iterator

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Concat
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts import pytorch
from inception_jax.weights.variables import Arrays, Entry

STEM = ('conv2d_1a', 'conv2d_2a', 'conv2d_2b', 'conv2d_3b', 'conv2d_4a')
# Blocks of -ResNet-v2, by the name of their stage.
BLOCKS = {
    'mixed_5b': 'mixed_5b',
    'a': 'repeat',
    'reduction_a': 'mixed_6a',
    'b': 'repeat_1',
    'reduction_b': 'mixed_7a',
    'c': 'repeat_2',
    'c_last': 'block8',
    'final': 'conv2d_7b',
    'logits': 'classif',
}


def variables(network: Network, arrays: Arrays) -> dict:
    """Returns the variables of a network from a state dict.

    Raises:
      ValueError: the network has no such layout, or the arrays are not its own.
    """
    return pytorch.read(arrays, entries(network))


def arrays(network: Network, variables: dict) -> dict[str, np.ndarray]:
    """Returns the state dict of a network; gammas are 1 where it has none.

    Raises:
      ValueError: the network has no such layout.
    """
    return pytorch.write(variables, entries(network))


def entries(network: Network) -> list[Entry]:
    """Returns the arrays of a network in this layout, in the order of its walk.

    Raises:
      ValueError: the network has no such layout.
    """
    return pytorch.entries(network, layers(network))


def layers(network: Network) -> Iterator[tuple[LayerPlace, str]]:
    """Yields the layers of a network, each with the prefix of its arrays.

    Raises:
      ValueError: the network has no such layout.
    """
    name = {
        'inception_v4_slim': _numbered(network),
        'inception_resnet_v2_slim': functools.partial(
            pytorch.residual_name, STEM, BLOCKS
        ),
    }.get(network.name)
    if name is None or network.auxiliary:
        raise ValueError(
            f'timm has no {network.name}{" with an auxiliary head" * bool(name)}; it '
            'has inception_v4_slim and inception_resnet_v2_slim without'
        )
    return ((place, name(place)) for place in network_layers(network))


def _numbered(network: Network):
    """Returns the function from the layers of v4 to their prefixes: all are features.

    The blocks of v4 count on from the sections of the stem.
    """
    found = list(network_layers(network))
    sections = 1 + max((p.section for p in found if p.stage == 'stem'), default=0)
    blocks = list(dict.fromkeys(p.block for p in found if p.stage != 'stem'))

    def name(place: LayerPlace) -> str:
        if place.block == 'logits':
            return 'last_linear'
        stem = place.stage == 'stem'
        number = place.section if stem else sections + blocks.index(place.block)
        feature = f'features.{number}'
        if not place.steps:
            return feature
        first, *rest = place.steps
        if stem and _only_with_a_pool(found, place):
            return f'{feature}.conv'
        if any(isinstance(op, Concat) for op in first.ops):
            letter = 'ab'[rest[0].branch] if rest else ''
            return f'{feature}.branch{first.branch}_{first.position}{letter}'
        return f'{feature}.{pytorch.in_branch(place)}'

    return name


def _only_with_a_pool(found: list[LayerPlace], place: LayerPlace) -> bool:
    """Tells whether a layer is the only one of its section, beside a pool."""
    same = [p for p in found if (p.block, p.section) == (place.block, place.section)]
    return len(same) == 1
