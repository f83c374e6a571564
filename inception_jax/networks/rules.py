"""Rules for what multiplies a residual branch, and two controls: networks to networks.

Every rule keeps the form relu(x + s * F(x)) of the blocks and their order, F ending in
the linear 1x1, and changes s, what F starts from, or (`non_residual`) drops the sum.
Where s is learned, the constant scale becomes 1 and still multiplies the branch, so a
residual scale that is given as an argument acts under every rule.
"""

import dataclasses
import difflib
import itertools
import math
from collections.abc import Callable, Sequence

from inception_jax.networks.mean_squares import added_scales
from inception_jax.networks.network import Network, map_network, residual_scales, trunk
from inception_jax.networks.ops import (
    Chain,
    Concat,
    Conv,
    Norm,
    Op,
    Residual,
    Scale,
    chain,
    map_ops,
    residuals,
)
from inception_jax.networks.shapes import measure

Rule = Callable[[Network], Network]


def constant(network: Network) -> Network:
    """x + s * F(x) with the network's own constants (arXiv:1602.07261, section 3.3)."""
    return network


def skip_init(network: Network) -> Network:
    """x + alpha * F(x), alpha a learned number per sum that starts at 0.

    SkipInit (arXiv:2002.10444, there without batch norm). ReZero (2003.04887) is the
    same form.
    """
    return _learned(network, lambda scale: 0.0)


def learned_scale(network: Network) -> Network:
    """x + alpha * F(x), alpha a learned number per sum that starts at the constant."""
    return _learned(network, lambda scale: scale)


def layer_scale(network: Network) -> Network:
    """x + diag(lambda) * F(x), lambda learned per channel (LayerScale, 2103.17239).

    It starts at 0.1 with up to 18 residual sums in the network, at 1e-5 with up to 24
    and at 1e-6 with more; the source counts layers of a transformer.
    """
    depth = len(residual_scales(network))
    initial = 0.1 if depth <= 18 else 1e-5 if depth <= 24 else 1e-6
    return _learned(network, lambda scale: initial, per_channel=True)


def zero_init(network: Network) -> Network:
    """x + s * F(x) with the network's constants; the linear 1x1's kernel starts at 0.

    As the zero gamma of arXiv:1706.02677: here no batch norm stands behind the 1x1.

    Raises:
      ValueError: a residual branch has no linear convolution.
    """

    def start_at_zero(op: Op) -> Op:
        return dataclasses.replace(op, stddev=0.0) if _linear(op) else op

    def change(op: Residual) -> Residual:
        if map_ops(_ordinary, op.branch) == op.branch:
            raise ValueError(
                f'a residual branch of {network.name} has no linear convolution to '
                'start at zero; end it with expand()'
            )
        return dataclasses.replace(op, branch=map_ops(start_at_zero, op.branch))

    return _map_sums(change, network)


def inverse_sqrt(network: Network) -> Network:
    """x + F(x) / sqrt(L), L the number of residual sums in a row (2310.02244).

    The rule keeps what L branches of equal size add at that of one. L is counted
    between blocks that are not residual, thus by stage and not over the network: a
    reduction normalises most of its channels anew, and there the sum starts afresh.
    """
    scales = []
    counts = [_sums(block.op) for block in trunk(network)]
    for residual, run in itertools.groupby(counts, bool):
        count = sum(run)
        scales += count * [1 / math.sqrt(count)] if residual else []
    return with_scales(network, scales)


def normalizer_free(network: Network) -> Network:
    """x + (0.2 * u / v) * F(x): NF-ResNets (arXiv:2101.08692) in the blocks' form.

    There a block is x + alpha * F(x / beta), with alpha = 0.2, F of variance 1, and
    beta the deviation of x that is expected: the variance of x starts every stage at 1
    and gains alpha**2 with each block. Here batch norm in the branch undoes any beta,
    and neither F nor the start of a stage is of size 1. So the expected mean square of
    the trunk is tracked from the image on: u is its root where the stage starts, v that
    of F, and a stage grows from u**2 by (alpha * u)**2 with each block, which is the
    source's recursion in units of u.

    F is that of the variance-preserving `he` initialiser, for which v = 1 behind ReLUs.
    Another one adds other amounts. The source's standardised kernels are left out.
    """
    return with_scales(network, added_scales(network, alpha=0.2))


def non_residual(network: Network) -> Network:
    """F(x) alone: the network without sums, of equal cost.

    The linear 1x1 becomes an ordinary convolution, with batch norm and ReLU, as wide as
    the trunk. Grids, convolutions and multiply-adds stay, and so does the number of
    parameters (its shift is in place of the bias) where batch norm has no gamma.
    """
    leaves = (
        leaf
        for measured, _ in zip(measure(network), trunk(network), strict=False)
        for leaf in measured.leaves
    )

    def drop(op: Op) -> Op:
        # Bottom up, the ops without parts come in the order of the walk.
        match op:
            case Chain() | Concat():
                return op
            case Residual():
                return map_ops(_ordinary, op.branch)
        filters = next(leaves).output[2]
        return dataclasses.replace(op, filters=filters) if isinstance(op, Conv) else op

    return map_network(drop, network)


RULES: dict[str, Rule] = {
    'constant': constant,
    'skip_init': skip_init,
    'learned_scale': learned_scale,
    'layer_scale': layer_scale,
    'zero_init': zero_init,
    'inverse_sqrt': inverse_sqrt,
    'normalizer_free': normalizer_free,
    'non_residual': non_residual,
}


def apply_rule(name: str, network: Network) -> Network:
    """Returns what the rule of that name makes of a network.

    Raises:
      ValueError: there is no such rule, or the network has no residual blocks.
    """
    if name not in RULES:
        near = difflib.get_close_matches(name, RULES, n=1, cutoff=0.0)[0]
        raise ValueError(
            f'unknown residual rule {name!r}; did you mean {near}? '
            f'(rules: {", ".join(RULES)})'
        )
    if not residual_scales(network):
        raise ValueError(
            f'{network.name} has no residual blocks for the rule {name}; choose an '
            'Inception-ResNet, or no rule'
        )
    return RULES[name](network)


def extra_batch_norm(network: Network) -> Network:
    """Puts a batch norm on the last layer before the average pool: a control.

    Section 3.3 reports that it did not help, and not where it stood. Here it is on the
    last residual sum, before its ReLU: that is the layer which died, with batch norm
    before ReLU as in every other. Behind the ReLU it would pass no gradient to a
    channel that is dead already.

    Raises:
      ValueError: the last block does not end in a residual sum.
    """
    *others, last = network.stages
    blocks = (*last.blocks[:-1], _normalised(network, last.blocks[-1]))
    last = dataclasses.replace(last, blocks=blocks)
    return dataclasses.replace(network, stages=(*others, last))


def with_scales(network: Network, scales: Sequence[float]) -> Network:
    """Gives the residual sums these constants, from the image to the last grid.

    Raises:
      ValueError: there are not as many as sums.
    """
    count = len(residual_scales(network))
    if len(scales) != count:
        raise ValueError(
            f'{len(scales)} residual scales for {network.name}, which has {count} '
            'residual blocks; give one for each'
        )
    left = iter(scales)
    return _map_sums(
        lambda op: dataclasses.replace(op, scale=float(next(left))), network
    )


def _normalised(network: Network, op: Op) -> Op:
    match op:
        case Residual():
            return chain(dataclasses.replace(op, relu=False), Norm(op.relu))
        case Chain((*others, last)):
            return chain(*others, _normalised(network, last))
    raise ValueError(
        f'the last block of {network.name} does not end in a residual sum for the '
        'extra batch norm; drop extra_batch_norm=True'
    )


def _learned(
    network: Network, initial: Callable[[float], float], *, per_channel: bool = False
) -> Network:
    def change(op: Residual) -> Residual:
        scale = Scale(initial(op.scale), per_channel)
        inside = op.branch.ops if isinstance(op.branch, Chain) else (op.branch,)
        return dataclasses.replace(op, branch=chain(*inside, scale), scale=1.0)

    return _map_sums(change, network)


def _map_sums(function: Callable[[Residual], Op], network: Network) -> Network:
    def change(op: Op) -> Op:
        return function(op) if isinstance(op, Residual) else op

    return map_network(change, network)


def _sums(op: Op) -> int:
    return len(residuals(op))


def _linear(op: Op) -> bool:
    return isinstance(op, Conv) and op.linear


def _ordinary(op: Op) -> Op:
    return dataclasses.replace(op, linear=False) if _linear(op) else op
