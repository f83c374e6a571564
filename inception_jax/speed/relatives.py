"""The networks that other libraries have, and what each of ours is nearest to."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from inception_jax.networks.network import Network

PEERS = Path(__file__).parent / 'peers'


class Relative(NamedTuple):
    """A peer's network: its name there, ours that computes the same (`twin`), and
    whether it can have an auxiliary head.
    """

    name: str
    twin: str
    auxiliary: bool = False


class Peer(NamedTuple):
    """Another library: its program, how to get it, and its relatives of our networks.

    `settings` are the ways in which it is tried, the likely best last; those in `slow`
    compile for minutes, and are tried when asked for. With `jemalloc` it runs with that
    allocator where ours does.
    """

    program: Path
    packages: str
    relatives: Mapping[str, Relative]
    settings: tuple[str, ...]
    slow: tuple[str, ...] = ()
    jemalloc: bool = False  # PyTorch was slower with it


_TIMM_V3 = Relative('inception_v3', 'inception_v3_torchvision', auxiliary=True)
_TIMM_V4 = Relative('inception_v4', 'inception_v4_slim')
_TIMM_RESNET = Relative('inception_resnet_v2', 'inception_resnet_v2_slim')
_KERAS_V3 = Relative('InceptionV3', 'inception_v3')
_KERAS_RESNET = Relative('InceptionResNetV2', 'inception_resnet_v2_slim')

BY_NAME = {
    'timm': Peer(
        PEERS / 'timm_peer.py',
        'torch timm',
        {
            'inception_v3': _TIMM_V3,
            'inception_v3_torchvision': _TIMM_V3,
            'inception_v4': _TIMM_V4,
            'inception_v4_slim': _TIMM_V4,
            'inception_resnet_v1': _TIMM_RESNET,
            'inception_resnet_v2': _TIMM_RESNET,
            'inception_resnet_v2_slim': _TIMM_RESNET,
        },
        ('eager, NCHW', 'eager, channels last'),
        ('compiled, channels last',),
    ),
    'keras': Peer(
        PEERS / 'keras_peer.py',
        'keras jax',
        {
            'inception_v3': _KERAS_V3,
            'inception_v3_torchvision': _KERAS_V3,
            'inception_resnet_v1': _KERAS_RESNET,
            'inception_resnet_v2': _KERAS_RESNET,
            'inception_resnet_v2_slim': _KERAS_RESNET,
        },
        ('compiled, JAX backend',),
        jemalloc=True,
    ),
}


def relative(peer: str, name: str) -> Relative:
    """Returns the peer's network that a network of ours is measured beside.

    Raises:
      ValueError: the peer has none.
    """
    relatives = BY_NAME[peer].relatives
    if name not in relatives:
        raise ValueError(
            f'{peer} has no relative of {name}; it has those of {", ".join(relatives)}'
        )
    return relatives[name]


def comparable(network: Network, found: Relative) -> Network:
    """Returns our network without an auxiliary head that the peer's cannot have."""
    if network.auxiliary and not found.auxiliary:
        return dataclasses.replace(network, auxiliary=None)
    return network
