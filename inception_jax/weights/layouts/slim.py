"""TF-Slim checkpoints: Inception-v3, -v4, -ResNet-v2, and facenet's -ResNet-v1.

The names are those of slim/nets/inception_v3.py, inception_v4.py and
inception_resnet_v2.py, and of facenet's inception_resnet_v1.py. A released file has
1001 classes. The first is a background class that no image has; a network of 1000
classes leaves it out.
"""

import re
from collections.abc import Iterator, Sequence
from string import ascii_lowercase

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Dense
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts.facenet_embedding import fold_embedding
from inception_jax.weights.layouts.layout import Layout
from inception_jax.weights.translation import ArrayEntry, ArrayNames, Arrays, NamedLayer

NAMES = ArrayNames(
    kernel='/weights',
    linear='/weights',
    bias='/biases',
    beta='/BatchNorm/beta',
    gamma=None,
    mean='/BatchNorm/moving_mean',
    variance='/BatchNorm/moving_variance',
)

# The sections of a stem that have weights, in their order.
STEM = ('Conv2d_1a_3x3', 'Conv2d_2a_3x3', 'Conv2d_2b_3x3')
STEMS = {
    'InceptionV3': (*STEM, 'Conv2d_3b_1x1', 'Conv2d_4a_3x3'),
    'InceptionV4': (*STEM, 'Mixed_3a', 'Mixed_4a', 'Mixed_5a'),
    'InceptionResnetV2': (*STEM, 'Conv2d_3b_1x1', 'Conv2d_4a_3x3'),
    'InceptionResnetV1': (*STEM, 'Conv2d_3b_1x1', 'Conv2d_4a_3x3', 'Conv2d_4b_3x3'),
}
SCOPES = {
    'inception_v3': 'InceptionV3',
    'inception_v4_slim': 'InceptionV4',
    'inception_resnet_v2_slim': 'InceptionResnetV2',
    'inception_resnet_v1_facenet': 'InceptionResnetV1',
}
# The blocks of the residual networks, by stage.
REPEATED = {
    'mixed_5b': 'Mixed_5b',
    'a': 'Repeat/block35',
    'reduction_a': 'Mixed_6a',
    'b': 'Repeat_1/block17',
    'reduction_b': 'Mixed_7a',
    'c': 'Repeat_2/block8',
    'c_last': 'Block8',
    'final': 'Conv2d_7b_1x1',
}
# The number and first letter of the blocks of the other networks, by stage.
FIRST = {
    'a': (5, 'b'),
    'reduction_a': (6, ''),
    'b': (6, 'b'),
    'reduction_b': (7, ''),
    'c': (7, 'b'),
}
# The slots of optimizers and the EMA weights of an array, e.g. weights/Adam_1.
SLOT = re.compile(r'/(weights|biases|beta|gamma|moving_mean|moving_variance)/.')

# Names that do not follow the rule, by the name that the rule gives.
IRREGULAR = {
    'InceptionV4/Mixed_3a/Branch_1/Conv2d_1a_3x3': 'Conv2d_0a_3x3',
    'InceptionV3/Mixed_5c/Branch_1/Conv2d_0a_1x1': 'Conv2d_0b_1x1',
    'InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_5x5': 'Conv_1_0c_5x5',
    'InceptionV3/Mixed_6a/Branch_0/Conv2d_1a_3x3': 'Conv2d_1a_1x1',
    'InceptionV3/Mixed_6a/Branch_1/Conv2d_1a_3x3': 'Conv2d_1a_1x1',
    'InceptionV3/Mixed_7b/Branch_1/Conv2d_0c_3x1': 'Conv2d_0b_3x1',
}
HEADS = {
    'InceptionV3': ('Logits/Conv2d_1c_1x1', 'Conv2d_2a_5x5', 'Conv2d_2b_1x1'),
    'InceptionV4': ('Logits/Logits', 'Conv2d_2a', 'Aux_logits'),
    'InceptionResnetV2': ('Logits/Logits', 'Conv2d_2a_5x5', 'Logits'),
    'InceptionResnetV1': ('Bottleneck',),
}


def _name_layers(network: Network) -> Iterator[NamedLayer]:
    scope = SCOPES[network.name]
    for place in network_layers(network):
        name = _name(scope, place)
        # Inception-v3 has convolutions of 1x1 in place of dense layers.
        dense = isinstance(place.leaf.op, Dense)
        yield NamedLayer(place, name, name, dense and name.endswith('_1x1'))


def _name(scope: str, place: LayerPlace) -> str:
    head, *auxiliary = HEADS[scope]
    if place.block == 'logits':
        return f'{scope}/{head}'
    if place.block == 'auxiliary':
        return f'{scope}/AuxLogits/{("Conv2d_1b_1x1", *auxiliary)[place.number]}'
    block = f'{scope}/{block_name(scope, place)}'
    if not place.steps:
        return f'{block}/Conv2d_1x1' if place.leaf.op.linear else block
    branch = f'{block}/Branch_{place.steps[0].branch}'
    rule = f'{branch}/{_in_branch(scope, place)}'
    return f'{branch}/{IRREGULAR[rule]}' if rule in IRREGULAR else rule


def block_name(scope: str, place: LayerPlace) -> str:
    """Returns the name of the block of a layer, or of its section of the stem."""
    if place.stage == 'stem':
        return STEMS[scope][place.section]
    _, _, number = place.block.rpartition('_')
    if 'Resnet' in scope:
        block = REPEATED[place.stage]
        return f'{block}_{number}' if place.block != place.stage else block
    # Each grid has a number and each of its blocks a letter; a reduction has the a.
    grid, letter = FIRST[place.stage]
    return f'Mixed_{grid}{chr(ord(letter) + int(number) - 1) if letter else "a"}'


def _in_branch(scope: str, place: LayerPlace) -> str:
    first, *others = place.steps
    if place.leaf.op.padding == 'VALID':
        return f'Conv2d_1a_{place.kernel}'
    if first.length == 1 and 'Resnet' in scope:
        return f'Conv2d_{place.kernel}'
    number = first.position + sum(step.branch + step.position for step in others)
    return f'Conv2d_0{ascii_lowercase[number]}_{place.kernel}'


def _prepare(network: Network, arrays: Arrays, entries: Sequence[ArrayEntry]) -> Arrays:
    if SCOPES[network.name] == 'InceptionResnetV1':
        *_, kernel, _ = entries
        layer = kernel.name.removesuffix(NAMES.linear)
        norm = {'beta': NAMES.beta, 'mean': NAMES.mean, 'variance': NAMES.variance}
        norm = {part: layer + name for part, name in norm.items()}
        arrays = fold_embedding(arrays, entries, norm, axis=1)
    return _without_background(arrays, entries)


def _without_background(arrays: Arrays, entries: Sequence[ArrayEntry]) -> Arrays:
    """Returns arrays whose heads have no column for the background class."""
    cut = dict(arrays)
    for entry in entries:
        shape = (*entry.shape[:-1], entry.shape[-1] + 1)
        is_head, array = entry.path[2] == 'dense0', arrays.get(entry.name)
        if is_head and array is not None and tuple(array.shape) == shape:
            cut[entry.name] = np.asarray(array)[..., 1:]
    return cut


def _is_ignored(network: Network, name: str) -> bool:
    scope = SCOPES[network.name]
    of_training = not name.startswith(f'{scope}/') or SLOT.search(name) is not None
    unused_head = network.auxiliary is None and name.startswith(f'{scope}/AuxLogits/')
    return of_training or unused_head


SLIM = Layout(
    library='TF-Slim',
    networks=tuple(SCOPES),
    auxiliary=True,
    names=NAMES,
    name_layers=_name_layers,
    prepare=_prepare,
    is_ignored=_is_ignored,
)
