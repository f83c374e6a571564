"""Networks as values; pure data, no JAX."""

from inception_jax.networks.catalogue import NETWORKS, choose, load
from inception_jax.networks.network import (
    Auxiliary,
    Network,
    Stage,
    map_network,
    network,
    one,
    scaled,
    stage,
)
from inception_jax.networks.ops import (
    avg_pool,
    chain,
    concat,
    conv,
    expand,
    map_ops,
    max_pool,
    residual,
)

__all__ = [
    'NETWORKS',
    'Auxiliary',
    'Network',
    'Stage',
    'avg_pool',
    'chain',
    'choose',
    'concat',
    'conv',
    'expand',
    'load',
    'map_network',
    'map_ops',
    'max_pool',
    'network',
    'one',
    'residual',
    'scaled',
    'stage',
]
