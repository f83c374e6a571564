"""facenet-pytorch's Inception-ResNet-v1 (models/inception_resnet_v1.py).

Its embedding is a dense layer without bias and a batch norm. Both are linear, and one
dense layer here: the logits of a network of 512 classes are the embedding before it is
scaled to length 1. A classifier on it is left out.
"""

import functools
from collections.abc import Iterator, Sequence

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts import pytorch
from inception_jax.weights.layouts.facenet_embedding import folded
from inception_jax.weights.variables import Arrays, Entry

STEM = ('conv2d_1a', 'conv2d_2a', 'conv2d_2b', 'conv2d_3b', 'conv2d_4a', 'conv2d_4b')
BLOCKS = {
    'a': 'repeat_1',
    'reduction_a': 'mixed_6a',
    'b': 'repeat_2',
    'reduction_b': 'mixed_7a',
    'c': 'repeat_3',
    'c_last': 'block8',
    'logits': 'last_linear',
}
# The arrays of the batch norm behind the embedding.
PARTS = {
    'beta': 'last_bn.bias',
    'gamma': 'last_bn.weight',
    'mean': 'last_bn.running_mean',
    'variance': 'last_bn.running_var',
}


def variables(network: Network, arrays: Arrays) -> dict:
    """Returns the variables of a network of 512 classes from a state dict.

    Raises:
      ValueError: the network has no such layout, or the arrays are not its own.
    """
    wanted = entries(network)
    arrays = _with_one_layer(pytorch.plain(arrays), wanted)
    return pytorch.read(arrays, wanted, ('last_bn.', 'logits.'))


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
    if network.name != 'inception_resnet_v1_facenet':
        raise ValueError(
            f'facenet-pytorch has no {network.name}; it has inception_resnet_v1_facenet'
        )
    name = functools.partial(pytorch.residual_name, STEM, BLOCKS)
    return ((place, name(place)) for place in network_layers(network))


def _with_one_layer(arrays: Arrays, wanted: Sequence[Entry]) -> Arrays:
    """Returns arrays whose last layer has the batch norm in it, if they have one."""
    *_, kernel, bias = wanted
    found = folded(arrays, PARTS | {'kernel': kernel.name}, kernel.shape, axis=0)
    if found is None:
        return arrays
    return {**arrays, **dict(zip((kernel.name, bias.name), found, strict=True))}
