"""The layouts by name: their networks, and how these see images."""

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from inception_jax.networks.network import Network
from inception_jax.weights.layouts import (
    facenet_pytorch,
    keras,
    slim,
    timm,
    torchvision,
)
from inception_jax.weights.variables import Arrays

GAMMA = {'batch_norm_gamma': True}
# facenet.py, fixed_image_standardization: (x - 127.5) / 128 of a face of 160 pixels.
FACES = {
    'input_size': 160,
    'crop_fraction': 1.0,
    'pixel_range': (-127.5 / 128, 127.5 / 128),
}
# timm's configurations of its networks.
TIMM = {'square_crop': True, 'interpolation': 'smooth_bicubic'}
# torchvision.models.Inception_V3_Weights: of 342 pixels 299.
TORCHVISION = {
    'square_crop': True,
    'interpolation': 'smooth_bilinear',
    'crop_fraction': 0.8742,
}


# More than any released network has; they are counted before the head is read.
MOST_CLASSES = 1_000_000


class Layout(NamedTuple):
    """A network in a layout: what reads it, and the fields of `Network` that are
    the layout's: how its images are evaluated, and its batch norm.

    The module has `variables`, `entries` and, if it `writes`, `arrays`.
    """

    module: ModuleType
    fields: Mapping[str, Any]
    writes: bool = True


LAYOUTS = {
    'slim': {
        'inception_v3': Layout(slim, {}),
        'inception_v4_slim': Layout(slim, {}),
        'inception_resnet_v2_slim': Layout(slim, {}),
    },
    'facenet': {'inception_resnet_v1_facenet': Layout(slim, FACES, writes=False)},
    'keras': {
        'inception_v3': Layout(keras, {}),
        'inception_resnet_v2_slim': Layout(keras, {}),
    },
    'timm': {
        'inception_v3_torchvision': Layout(torchvision, TIMM),
        'inception_v4_slim': Layout(timm, GAMMA | TIMM),
        'inception_resnet_v2_slim': Layout(
            timm, GAMMA | TIMM | {'crop_fraction': 0.8975}
        ),
    },
    'torchvision': {'inception_v3_torchvision': Layout(torchvision, TORCHVISION)},
    'facenet_pytorch': {
        'inception_resnet_v1_facenet': Layout(
            facenet_pytorch, GAMMA | FACES, writes=False
        )
    },
}


def layout(name: str, network: str) -> Layout:
    """Returns how a network lies in a layout.

    Raises:
      ValueError: the layout does not have it.
    """
    if network not in LAYOUTS[name]:
        raise ValueError(f'{name} has no {network}; it has {", ".join(LAYOUTS[name])}')
    return LAYOUTS[name][network]


def head_classes(module: ModuleType, network: Network, arrays: Arrays) -> int:
    """Returns how many classes the head of a network has in arrays of its layout.

    Where it is not among them it has as many as the network.

    Raises:
      ValueError: it has more than `MOST_CLASSES`.
    """
    head = ('params', 'logits', 'dense0', 'kernel')
    kernel = next(entry for entry in module.entries(network) if entry.path == head)
    if kernel.name not in arrays:
        return network.classes
    features = math.prod(kernel.shape) // network.classes
    classes = max(1, math.prod(arrays[kernel.name].shape) // features)
    if classes > MOST_CLASSES:
        raise ValueError(f'{kernel.name} would be of {classes:,} classes')
    return classes
