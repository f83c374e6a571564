"""facenet-pytorch's Inception-ResNet-v1 (models/inception_resnet_v1.py).

Its embedding is a dense layer without bias and a batch norm, which are one dense layer
here: the logits of a network of 512 classes are the embedding before it is scaled to
length 1. A classifier on top of the embedding is left out.
"""

import functools

from inception_jax.networks.network import Network
from inception_jax.weights.layouts.facenet_embedding import fold_embedding
from inception_jax.weights.layouts.pytorch import pytorch_layout, residual_name

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
# The batch norm of the embedding.
NORM = {
    'beta': 'last_bn.bias',
    'gamma': 'last_bn.weight',
    'mean': 'last_bn.running_mean',
    'variance': 'last_bn.running_var',
}


def _is_ignored(network: Network, name: str) -> bool:
    return name.startswith(('last_bn.', 'logits.'))


FACENET_PYTORCH = pytorch_layout(
    'facenet-pytorch',
    ('inception_resnet_v1_facenet',),
    lambda network: functools.partial(residual_name, STEM, BLOCKS),
    fold=functools.partial(fold_embedding, norm=NORM, axis=0),
    is_ignored=_is_ignored,
)
