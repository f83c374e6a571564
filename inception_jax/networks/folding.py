"""A network for inference: batch norm and residual scales are in its convolutions."""

import dataclasses
from collections.abc import Sequence

from inception_jax.networks.network import Network, map_network
from inception_jax.networks.ops import Chain, Concat, Conv, Op, Relu, Residual, chain
from inception_jax.networks.rules import with_scales


def folded(network: Network, scales: Sequence[float] | None = None) -> Network:
    """Returns the network of the same logits that has no batch norm of convolutions.

    A convolution with batch norm and ReLU is a linear one and a ReLU. The scale of a
    residual block is 1 where its branch ends in linear convolutions, which hold it
    then; another one stays, as do the leaves that are no convolutions. There is no
    auxiliary head. `weights.folding` computes the variables.

    Args:
      scales: the scale of each residual block; None means the network's.

    Raises:
      ValueError: there are not as many scales as residual blocks.
    """
    if scales is not None:
        network = with_scales(network, scales)
    folded = map_network(_fold, network)
    return dataclasses.replace(folded, name=f'{network.name}_folded', auxiliary=None)


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
    """Tells whether a factor of what `op` gives can be one of its last kernels."""
    match op:
        case Conv():
            return op.linear
        case Chain():
            return bool(op.ops) and _ends_linear(op.ops[-1])
        case Concat():
            return all(map(_ends_linear, op.branches))
    return False


def factors(op: Op, last: float = 1.0) -> list[float]:
    """Lists the residual scale that each leaf of `op` takes in, 1 for those of none.

    The order is that of the walk. `last` is what multiplies the end of `op`.
    """
    match op:
        case Chain():
            ends = [*(1.0 for _ in op.ops[1:]), last]
            pairs = zip(op.ops, ends, strict=False)
            return [f for child, end in pairs for f in factors(child, end)]
        case Concat():
            return [f for branch in op.branches for f in factors(branch, last)]
        case Residual():
            return factors(op.branch, op.scale if _ends_linear(op.branch) else 1.0)
    return [last]
