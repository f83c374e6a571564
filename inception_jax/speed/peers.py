"""Other libraries to compare with, and their nearest relatives of our networks."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import inception_jax
from inception_jax.networks.network import Network

# The programs are part of the repository, not of the installed package.
PROGRAMS = Path(inception_jax.__file__).parents[1] / 'benchmarks' / 'peers'


class Relative(NamedTuple):
    """A network of a peer, by the peer's name for it.

    `twin` is our network that computes the same. `auxiliary` is whether the
    peer's network can have an auxiliary head.
    """

    name: str
    twin: str
    auxiliary: bool = False


class Peer(NamedTuple):
    """Another library: its program, its packages, and its relatives of our networks.

    `packages` are the arguments of `pip install`. `settings` are the ways to run a
    network that are tried, the likely fastest last. `slow` are further settings, which
    compile for minutes and are tried only on request. `jemalloc` is whether the program
    runs with that allocator if our process does.
    """

    program: Path
    packages: str
    relatives: Mapping[str, Relative]
    settings: tuple[str, ...]
    slow: tuple[str, ...] = ()
    jemalloc: bool = False  # PyTorch was slower with it.


_TIMM_V3 = Relative('inception_v3', 'inception_v3_torchvision', auxiliary=True)
_TIMM_V4 = Relative('inception_v4', 'inception_v4_slim')
_TIMM_RESNET = Relative('inception_resnet_v2', 'inception_resnet_v2_slim')
_KERAS_V3 = Relative('InceptionV3', 'inception_v3')
_KERAS_RESNET = Relative('InceptionResNetV2', 'inception_resnet_v2_slim')

PEERS = {
    'timm': Peer(
        PROGRAMS / 'timm_peer.py',
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
        PROGRAMS / 'keras_peer.py',
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
    """Returns the network of a peer to compare our network with.

    Raises:
      ValueError: the peer has no relative of that network, or its program is missing.
    """
    relatives, program = PEERS[peer].relatives, PEERS[peer].program
    if name not in relatives:
        raise ValueError(
            f'{peer} has no relative of {name}; it has those of {", ".join(relatives)}'
        )
    if not program.exists():
        raise ValueError(
            f'{program} is missing: an installed package has no programs of peers; '
            'run the command in a clone of the repository'
        )
    return relatives[name]


def comparable(network: Network, peers_network: Relative) -> Network:
    """Returns our network, without an auxiliary head if the peer's cannot have one."""
    if network.auxiliary and not peers_network.auxiliary:
        return dataclasses.replace(network, auxiliary=None)
    return network
