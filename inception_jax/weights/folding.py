"""The variables of a folded network: batch norm and residual scales go into kernels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from inception_jax.networks.folding import factors, folded
from inception_jax.networks.network import Network
from inception_jax.networks.ops import Conv, Relu
from inception_jax.networks.rules import with_scales
from inception_jax.networks.shapes import Leaf, Measured, measure


def fold(
    network: Network,
    variables: Mapping[str, Any],
    residual_scales: Sequence[float] | None = None,
) -> dict[str, Any]:
    """Returns the variables of `folded(network, residual_scales)`, float32 on the host.

    Batch norm is that of inference, with the statistics in `variables`. Products are
    taken in float64.

    Args:
      residual_scales: one number per residual block; None means the network's.

    Raises:
      ValueError: there are not as many scales as residual blocks.
    """
    if residual_scales is not None:
        network = with_scales(network, residual_scales)
    found = {'params': {}, 'batch_stats': {}}
    # The auxiliary head, which a folded network lacks, comes last.
    for old, new in zip(measure(network), measure(folded(network)), strict=False):
        for leaf, name, factor in _leaves(old, new):
            own = {c: tree.get(old.name, {}) for c, tree in variables.items()}
            own = {c: tree[leaf.name] for c, tree in own.items() if leaf.name in tree}
            if isinstance(leaf.op, Conv):
                own = _convolution(own, factor, network.batch_norm_epsilon)
            for collection, values in own.items():
                found[collection].setdefault(old.name, {})[name] = values
    return found


def _leaves(old: Measured, new: Measured) -> Iterator[tuple[Leaf, str, float]]:
    """Yields each leaf, its name in the folded block, and the scale that it takes in.

    Folding adds ReLUs to the leaves of a block and nothing else.
    """
    pairs = zip(old.leaves, factors(old.op), strict=True)
    names = (leaf.name for leaf in new.leaves if not isinstance(leaf.op, Relu))
    for leaf, factor in pairs:
        if not isinstance(leaf.op, Relu):
            yield leaf, next(names), factor


def _convolution(own: Mapping[str, Any], factor: float, epsilon: float) -> dict:
    """Returns what is left of a convolution with batch norm, or of a linear one."""
    params = own['params']
    if 'bn' in params:
        norm, seen = params['bn'], own['batch_stats']['bn']
        factor = _wide(norm.get('scale', 1)) / np.sqrt(_wide(seen['var']) + epsilon)
        bias = _wide(norm['bias']) - _wide(seen['mean']) * factor
    else:
        bias = _wide(params['bias']) * factor
    values = {'kernel': _wide(params['kernel']) * factor, 'bias': bias}
    return {'params': {name: x.astype(np.float32) for name, x in values.items()}}


def _wide(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)
