"""torchvision's Inception-v3 (models/inception.py), which timm has as well.

Its 3x3 average pools count the padding. Blocks have TF-Slim's names; branches are named
after their kernels.
"""

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Concat, Conv, Op, Pool
from inception_jax.weights.layers import LayerPlace, LayerStep
from inception_jax.weights.layouts.pytorch import pytorch_layout
from inception_jax.weights.layouts.slim import block_name

# The names of branches by the longest side of a kernel and the number of ops.
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


def _name(place: LayerPlace) -> str:
    if place.block == 'logits':
        return 'fc'
    if place.block == 'auxiliary':
        return AUXILIARY[place.number]
    block = block_name('InceptionV3', place)
    if not place.steps:
        return block
    first, *others = place.steps
    if isinstance(first.ops[0], Pool):
        return f'{block}.branch_pool'
    letter = 'ab'[others[0].branch] if others else ''
    number = f'_{first.position + 1}{letter}' if first.length > 1 else ''
    return f'{block}.{_branch_name(first)}{number}'


def _branch_name(step: LayerStep) -> str:
    return BRANCHES[max(map(_longest_side, step.ops)), step.length]


def _longest_side(op: Op) -> int:
    match op:
        case Concat():
            return max(map(_longest_side, op.branches))
        case Conv():
            return max(op.kernel)
    return 0


def _is_ignored(network: Network, name: str) -> bool:
    return network.auxiliary is None and name.startswith('AuxLogits.')


TORCHVISION = pytorch_layout(
    'torchvision',
    ('inception_v3_torchvision',),
    lambda network: _name,
    auxiliary=True,
    is_ignored=_is_ignored,
)
