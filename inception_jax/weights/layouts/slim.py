"""TF-Slim checkpoints: Inception-v3, -v4, -ResNet-v2, and facenet's -ResNet-v1.

Names from slim/nets/inception_v3.py, inception_v4.py and inception_resnet_v2.py and
facenet's inception_resnet_v1.py. A released file has 1001 classes, of which the first
is a background that no image has; a network of 1000 leaves it out.
"""

import functools
from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts.facenet_embedding import folded
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
# Blocks of the residual networks, by the name of their stage.
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
# Grid and first letter of the blocks of the others, by the name of their stage.
FIRST = {
    'a': (5, 'b'),
    'reduction_a': (6, ''),
    'b': (6, 'b'),
    'reduction_b': (7, ''),
    'c': (7, 'b'),
}
TRAINING = ('/ExponentialMovingAverage', '/RMSProp', '/RMSProp_1', '/Momentum')

# Names that do not follow the rule, by what it gives.
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


def variables(network: Network, arrays: Arrays) -> dict:
    """Returns the variables of a network from the arrays of a checkpoint.

    A network with one class less than the arrays goes without their first, the
    background. Arrays of an auxiliary head that the network does not have are left out,
    and so are those of training: the step, averages and moments.

    Raises:
      ValueError: the network has no such layout, or the arrays are not its own.
    """
    wanted, scope = entries(network), _scope(network)
    if scope == 'InceptionResnetV1':
        arrays = _with_one_layer(arrays, wanted)
    return read_variables(
        _without_background(arrays, wanted),
        wanted,
        functools.partial(_is_ignored, scope, network.auxiliary is None),
    )


def arrays(network: Network, variables: dict) -> dict[str, np.ndarray]:
    """Returns the arrays of a checkpoint with the classes of the network.

    Raises:
      ValueError: the network has no such layout.
    """
    return write_variables(variables, entries(network))


def entries(network: Network) -> list[Entry]:
    """Returns the arrays of a network in this layout, in the order of its walk.

    Raises:
      ValueError: the network has no such layout.
    """
    scope = _scope(network)
    names = ((place, _name(scope, place)) for place in network_layers(network))
    layers = (Layer(place, name, name) for place, name in names)
    found = layout_entries(network, layers, NAMES)
    # Inception-v3 has convolutions of 1x1 for dense layers.
    return [
        entry._replace(shape=(1, 1, *entry.shape))
        if '_1x1/weights' in entry.name and len(entry.shape) == 2
        else entry
        for entry in found
    ]


def _scope(network: Network) -> str:
    if network.name not in SCOPES:
        raise ValueError(f'TF-Slim has no {network.name}; it has {", ".join(SCOPES)}')
    return SCOPES[network.name]


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
    """Returns the name of a block in a scope, or of a section of the stem."""
    if place.stage == 'stem':
        return STEMS[scope][place.section]
    _, _, number = place.block.rpartition('_')
    if 'Resnet' in scope:
        block = REPEATED[place.stage]
        return f'{block}_{number}' if place.block != place.stage else block
    # Every grid has a number, and its blocks letters, of which a reduction has the a.
    grid, letter = FIRST[place.stage]
    return f'Mixed_{grid}{chr(ord(letter) + int(number) - 1) if letter else "a"}'


def _in_branch(scope: str, place: LayerPlace) -> str:
    first, *rest = place.steps
    if place.leaf.op.padding == 'VALID':
        return f'Conv2d_1a_{place.kernel}'
    if first.length == 1 and 'Resnet' in scope:
        return f'Conv2d_{place.kernel}'
    at = first.position + sum(step.branch + step.position for step in rest)
    return f'Conv2d_0{ascii_lowercase[at]}_{place.kernel}'


def _without_background(arrays: Arrays, wanted: Sequence[Entry]) -> Arrays:
    """Returns arrays whose heads have no row for the background if they have one."""
    heads = {e.name: e for e in wanted if e.path[2] == 'dense0'}
    found = dict(arrays)
    for name, entry in heads.items():
        shape = (*entry.shape[:-1], entry.shape[-1] + 1)
        if name in found and tuple(found[name].shape) == shape:
            found[name] = np.asarray(found[name])[..., 1:]
    return found


def _with_one_layer(arrays: Arrays, wanted: Sequence[Entry]) -> Arrays:
    """Returns arrays of facenet whose embedding is our logits, if they have one."""
    *_, kernel, bias = wanted
    at = kernel.name.removesuffix(NAMES.linear)
    parts = {'beta': NAMES.beta, 'mean': NAMES.mean, 'variance': NAMES.variance}
    names = {part: at + name for part, name in parts.items()}
    found = folded(arrays, {'kernel': kernel.name, **names}, kernel.shape, axis=1)
    if found is None:
        return arrays
    rest = {name: x for name, x in arrays.items() if not name.startswith(f'{at}/')}
    return rest | dict(zip((kernel.name, bias.name), found, strict=True))


def _is_ignored(scope: str, no_auxiliary: bool, name: str) -> bool:
    of_training = not name.startswith(f'{scope}/') or name.endswith(TRAINING)
    return of_training or (no_auxiliary and name.startswith(f'{scope}/AuxLogits/'))
