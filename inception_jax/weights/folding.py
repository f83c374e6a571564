"""The variables of a folded network: kernels absorb batch norm and residual scales."""

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

    Batch norm uses the statistics in `variables`, as in inference. Products are
    computed in float64.

    Args:
      residual_scales: one number for each residual block; None means the network's.

    Raises:
      ValueError: the numbers of scales and of residual blocks differ.
    """
    if residual_scales is not None:
        network = with_scales(network, residual_scales)
    result = {'params': {}, 'batch_stats': {}}
    # The auxiliary head, which a folded network lacks, comes last.
    for block, folded_block in zip(
        measure(network), measure(folded(network)), strict=False
    ):
        for leaf, name, factor in _leaves(block, folded_block):
            trees = {c: tree.get(block.name, {}) for c, tree in variables.items()}
            values = {c: t[leaf.name] for c, t in trees.items() if leaf.name in t}
            if isinstance(leaf.op, Conv):
                values = _fold_convolution(values, factor, network.batch_norm_epsilon)
            for collection, arrays in values.items():
                result[collection].setdefault(block.name, {})[name] = arrays
    return result


def _leaves(
    block: Measured, folded_block: Measured
) -> Iterator[tuple[Leaf, str, float]]:
    """Yields each leaf, its name in the folded block, and the scale that it absorbs.

    Folding adds ReLUs to the leaves of a block and nothing else.
    """
    names = (leaf.name for leaf in folded_block.leaves if not isinstance(leaf.op, Relu))
    for leaf, factor in zip(block.leaves, factors(block.op), strict=True):
        if not isinstance(leaf.op, Relu):
            yield leaf, next(names), factor


def _fold_convolution(
    values: Mapping[str, Any], factor: float, epsilon: float
) -> dict[str, Any]:
    """Returns the kernel and bias of a convolution that had batch norm or a bias."""
    params = values['params']
    if 'bn' in params:
        norm, statistics = params['bn'], values['batch_stats']['bn']
        deviation = np.sqrt(_float64(statistics['var']) + epsilon)
        factor = _float64(norm.get('scale', 1)) / deviation
        bias = _float64(norm['bias']) - _float64(statistics['mean']) * factor
    else:
        bias = _float64(params['bias']) * factor
    arrays = {'kernel': _float64(params['kernel']) * factor, 'bias': bias}
    return {'params': {name: x.astype(np.float32) for name, x in arrays.items()}}


def _float64(x: Any) -> np.ndarray:
    return np.asarray(x, np.float64)
