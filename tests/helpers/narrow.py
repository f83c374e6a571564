"""Narrow, short relatives of the released networks, for files in their layouts."""

import dataclasses

from inception_jax.networks import load, scaled


def narrow(name):
    network = scaled(load(name), width=0.1, depth=0.01)
    return dataclasses.replace(network, input_size=75)


V3 = narrow('inception_v3')
V3_TORCHVISION = narrow('inception_v3_torchvision')
V4 = narrow('inception_v4_slim')
V2 = narrow('inception_resnet_v2_slim')
V1 = narrow('inception_resnet_v1_facenet')
