"""timm's Inception-v4 and -ResNet-v2 (inception_v4.py, inception_resnet_v2.py).

They are TF-Slim's networks with gammas and without auxiliary heads. timm's Inception-v3
has the layout of torchvision.
"""

import functools
from collections.abc import Callable, Sequence

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Concat
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts.pytorch import (
    branch_name,
    pytorch_layout,
    residual_name,
)

STEM = ('conv2d_1a', 'conv2d_2a', 'conv2d_2b', 'conv2d_3b', 'conv2d_4a')
# The blocks of -ResNet-v2, by stage.
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


def _layer_names(network: Network) -> Callable[[LayerPlace], str]:
    if network.name == 'inception_v4_slim':
        return _feature_names(list(network_layers(network)))
    return functools.partial(residual_name, STEM, BLOCKS)


def _feature_names(places: Sequence[LayerPlace]) -> Callable[[LayerPlace], str]:
    """Returns the function from a layer of v4 to its prefix, such as features.3.

    The numbers of blocks continue those of the sections of the stem.
    """
    sections = 1 + max(
        (place.section for place in places if place.stage == 'stem'), default=0
    )
    blocks = list(
        dict.fromkeys(place.block for place in places if place.stage != 'stem')
    )

    def name(place: LayerPlace) -> str:
        if place.block == 'logits':
            return 'last_linear'
        stem = place.stage == 'stem'
        number = place.section if stem else sections + blocks.index(place.block)
        feature = f'features.{number}'
        if not place.steps:
            return feature
        first, *others = place.steps
        if stem and _is_only_layer_of_its_section(place, places):
            return f'{feature}.conv'
        if any(isinstance(op, Concat) for op in first.ops):
            letter = 'ab'[others[0].branch] if others else ''
            return f'{feature}.branch{first.branch}_{first.position}{letter}'
        return f'{feature}.{branch_name(place)}'

    return name


def _is_only_layer_of_its_section(
    place: LayerPlace, places: Sequence[LayerPlace]
) -> bool:
    """Returns whether the section has no other layer; a pool may be beside it."""
    section = (place.block, place.section)
    return sum((other.block, other.section) == section for other in places) == 1


TIMM = pytorch_layout(
    'timm', ('inception_v4_slim', 'inception_resnet_v2_slim'), _layer_names
)
