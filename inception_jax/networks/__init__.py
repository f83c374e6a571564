"""Networks as values: pure data, which imports neither JAX nor NumPy."""

from inception_jax.networks.catalogue import NETWORKS, choose, load
from inception_jax.networks.describe.diff import Difference, diff
from inception_jax.networks.describe.table import summary, table
from inception_jax.networks.figures.figure import draw
from inception_jax.networks.folding import folded
from inception_jax.networks.images import Images
from inception_jax.networks.network import (
    Auxiliary,
    Network,
    Stage,
    by_block,
    map_network,
    network,
    one,
    residual_scales,
    stage,
)
from inception_jax.networks.ops import (
    Chain,
    Concat,
    Conv,
    Module,
    Norm,
    Pool,
    Relu,
    Residual,
    Scale,
    avg_pool,
    chain,
    concat,
    conv,
    expand,
    map_ops,
    max_pool,
    residual,
)
from inception_jax.networks.rules import RULES, with_scales
from inception_jax.networks.scaling import scaled
from inception_jax.networks.shapes import measure

__all__ = [
    'NETWORKS',
    'RULES',
    'Auxiliary',
    'Chain',
    'Concat',
    'Conv',
    'Difference',
    'Images',
    'Module',
    'Network',
    'Norm',
    'Pool',
    'Relu',
    'Residual',
    'Scale',
    'Stage',
    'avg_pool',
    'by_block',
    'chain',
    'choose',
    'concat',
    'conv',
    'diff',
    'draw',
    'expand',
    'folded',
    'load',
    'map_network',
    'map_ops',
    'max_pool',
    'measure',
    'network',
    'one',
    'residual',
    'residual_scales',
    'scaled',
    'stage',
    'summary',
    'table',
    'with_scales',
]
