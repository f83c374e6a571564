"""All layouts by name, with the networks that each has and their preprocessing."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from inception_jax.networks.network import Network
from inception_jax.runtime import choices
from inception_jax.weights.layouts.facenet_pytorch import FACENET_PYTORCH
from inception_jax.weights.layouts.keras import KERAS
from inception_jax.weights.layouts.layout import Layout
from inception_jax.weights.layouts.slim import SLIM
from inception_jax.weights.layouts.timm import TIMM
from inception_jax.weights.layouts.torchvision import TORCHVISION
from inception_jax.weights.translation import Arrays

# TensorFlow and Keras resize images of floats.
FLOAT_IMAGES = {'interpolation': 'float_bilinear'}
GAMMA = {'batch_norm_gamma': True}
# facenet.py, fixed_image_standardization: (x - 127.5) / 128, faces of 160 pixels.
FACE_IMAGES = {
    'input_size': 160,
    'crop_fraction': 1.0,
    'interpolation': 'float_bilinear',
    'pixel_range': (-127.5 / 128, 127.5 / 128),
}
# timm's configurations of its networks.
TIMM_IMAGES = {'square_crop': True, 'interpolation': 'smooth_bicubic'}
# torchvision.models.Inception_V3_Weights: the central 299 of 342 pixels.
TORCHVISION_IMAGES = {
    'square_crop': True,
    'interpolation': 'smooth_bilinear',
    'crop_fraction': 0.8742,
}


# More than any released network has. The head is counted before it is read.
MOST_CLASSES = 1_000_000


class NetworkLayout(NamedTuple):
    """The layout of a network in a library.

    `fields` are the fields of `Network` that follow from the library: preprocessing and
    gammas. `is_writable` is False if the library has layers that are folded here.
    """

    layout: Layout
    fields: Mapping[str, Any]
    is_writable: bool = True


LAYOUTS = {
    'slim': {
        'inception_v3': NetworkLayout(SLIM, FLOAT_IMAGES),
        'inception_v4_slim': NetworkLayout(SLIM, FLOAT_IMAGES),
        'inception_resnet_v2_slim': NetworkLayout(SLIM, FLOAT_IMAGES),
    },
    'facenet': {
        'inception_resnet_v1_facenet': NetworkLayout(
            SLIM, FACE_IMAGES, is_writable=False
        )
    },
    'keras': {
        'inception_v3': NetworkLayout(KERAS, FLOAT_IMAGES),
        'inception_resnet_v2_slim': NetworkLayout(KERAS, FLOAT_IMAGES),
    },
    'timm': {
        'inception_v3_torchvision': NetworkLayout(TORCHVISION, TIMM_IMAGES),
        'inception_v4_slim': NetworkLayout(TIMM, GAMMA | TIMM_IMAGES),
        'inception_resnet_v2_slim': NetworkLayout(
            TIMM, GAMMA | TIMM_IMAGES | {'crop_fraction': 0.8975}
        ),
    },
    'torchvision': {
        'inception_v3_torchvision': NetworkLayout(TORCHVISION, TORCHVISION_IMAGES)
    },
    'facenet_pytorch': {
        'inception_resnet_v1_facenet': NetworkLayout(
            FACENET_PYTORCH, GAMMA | FACE_IMAGES, is_writable=False
        )
    },
}


def find_layout(name: str, network: str) -> NetworkLayout:
    """Returns the layout of a network, by the names of both.

    Raises:
      ValueError: the layout is unknown, or does not have the network.

    >>> find_layout('timm', 'inception_v4_slim').layout.library
    'timm'
    """
    choices.check('layout', name, LAYOUTS)
    if network not in LAYOUTS[name]:
        raise ValueError(f'{name} has no {network}; it has {", ".join(LAYOUTS[name])}')
    return LAYOUTS[name][network]


def head_classes(layout: Layout, network: Network, arrays: Arrays) -> int:
    """Returns the number of classes of the head in the arrays of a file.

    If the arrays lack the head, it is that of the network.

    Raises:
      ValueError: there are more than `MOST_CLASSES`.
    """
    head = ('params', 'logits', 'dense0', 'kernel')
    kernel = next(entry for entry in layout.entries(network) if entry.path == head)
    if kernel.name not in arrays:
        return network.classes
    features = math.prod(kernel.shape) // network.classes
    classes = max(1, math.prod(arrays[kernel.name].shape) // features)
    if classes > MOST_CLASSES:
        raise ValueError(f'{kernel.name} would have {classes:,} classes')
    return classes
