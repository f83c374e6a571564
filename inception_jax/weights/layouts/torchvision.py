"""torchvision's Inception-v3 (models/inception.py), which timm has as well.

Its 3x3 average pools count the padding. Blocks have TF-Slim's names, and branches those
of their windows.
"""

from collections.abc import Iterator

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Concat, Conv, Op, Pool
from inception_jax.weights.layers import LayerPlace, LayerStep, network_layers
from inception_jax.weights.layouts import pytorch, slim
from inception_jax.weights.variables import Arrays, Entry

# Branches by the largest side of their windows and the number of their ops.
BRANCHES = {
    (1, 1): 'branch1x1',
    (3, 1): 'branch3x3',
    (3, 2): 'branch3x3',
    (3, 3): 'branch3x3dbl',
    (5, 2): 'branch5x5',
    (7, 3): 'branch7x7',
    (7, 4): 'branch7x7x3',
    (7, 5): 'branch7x7dbl',
}
AUXILIARY = ('AuxLogits.conv0', 'AuxLogits.conv1', 'AuxLogits.fc')


def variables(network: Network, arrays: Arrays) -> dict:
    """Returns the variables of a network from a state dict.

    The auxiliary head is left out if the network has none.

    Raises:
      ValueError: the network has no such layout, or the arrays are not its own.
    """
    left_out = () if network.auxiliary else ('AuxLogits.',)
    return pytorch.read(arrays, entries(network), left_out)


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
    if network.name not in ('inception_v3', 'inception_v3_torchvision'):
        raise ValueError(
            f'torchvision has no {network.name}; it has inception_v3_torchvision'
        )
    return ((place, _name(place)) for place in network_layers(network))


def _name(place: LayerPlace) -> str:
    if place.block == 'logits':
        return 'fc'
    if place.block == 'auxiliary':
        return AUXILIARY[place.number]
    block = slim.block_name('InceptionV3', place)
    if not place.steps:
        return block
    first, *rest = place.steps
    if isinstance(first.ops[0], Pool):
        return f'{block}.branch_pool'
    letter = 'ab'[rest[0].branch] if rest else ''
    number = f'_{first.position + 1}{letter}' if first.length > 1 else ''
    return f'{block}.{_branch(first)}{number}'


def _branch(step: LayerStep) -> str:
    side = max(_side(op) for op in step.ops)
    return BRANCHES[side, step.length]


def _side(op: Op) -> int:
    match op:
        case Concat():
            return max(map(_side, op.branches))
        case Conv():
            return max(op.kernel)
    return 0
