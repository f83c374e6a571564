"""A network for inference, with batch norm and scales folded into convolutions."""

import dataclasses
from collections.abc import Sequence

from inception_jax.networks.network import Network, map_network
from inception_jax.networks.ops import Chain, Concat, Conv, Op, Relu, Residual, chain
from inception_jax.networks.rules import with_scales


def folded(network: Network, scales: Sequence[float] | None = None) -> Network:
    """Returns a network with the same logits whose convolutions have no batch norm.

    A convolution with batch norm and ReLU becomes a linear convolution and a ReLU. If a
    residual branch ends in linear convolutions, they take in the residual scale, and
    the scale becomes 1; other scales do not change. Leaves that are no convolutions do
    not change either. The auxiliary head is dropped. `weights.folding` computes the
    variables.

    Args:
      scales: the scale of each residual sum; None means the scales of the network.

    Raises:
      ValueError: the number of scales is not the number of residual sums.

    >>> from inception_jax.networks import conv, network, one
    >>> print(folded(network('tiny', one('stem', conv(8, 3)))).stages[0])
    stem  3x3/8 linear -> relu
    """
    if scales is not None:
        network = with_scales(network, scales)
    linear = map_network(_fold, network)
    return dataclasses.replace(linear, name=f'{network.name}_folded', auxiliary=None)


def _fold(op: Op) -> Op:
    match op:
        case Conv(linear=False):
            return chain(dataclasses.replace(op, linear=True), Relu())
        case Chain():
            return chain(*(part for child in op.ops for part in _parts(child)))
        case Residual() if _ends_linear(op.branch):
            return dataclasses.replace(op, scale=1.0)
    return op


def _parts(op: Op) -> tuple[Op, ...]:
    return op.ops if isinstance(op, Chain) else (op,)


def _ends_linear(op: Op) -> bool:
    """Whether the last kernels of `op` can take in a factor of its output."""
    match op:
        case Conv():
            return op.linear
        case Chain():
            return bool(op.ops) and _ends_linear(op.ops[-1])
        case Concat():
            return all(map(_ends_linear, op.branches))
    return False


def factors(op: Op, last: float = 1.0) -> list[float]:
    """Lists the residual scale that each leaf of `op` takes in, in the walk's order.

    A leaf that takes in no scale has the factor 1. `last` multiplies the output of
    `op`.
    """
    match op:
        case Chain():
            ends = [*(1.0 for _ in op.ops[1:]), last]
            pairs = zip(op.ops, ends, strict=False)
            return [x for child, end in pairs for x in factors(child, end)]
        case Concat():
            return [x for branch in op.branches for x in factors(branch, last)]
        case Residual():
            return factors(op.branch, op.scale if _ends_linear(op.branch) else 1.0)
    return [last]
