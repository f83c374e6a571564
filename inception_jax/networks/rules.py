"""Rules for the factor of a residual branch, as functions from networks to networks.

Every rule keeps the order of the blocks and their form relu(x + s * F(x)), in which F
ends in the linear 1x1. A rule changes s or the initial values of F; only `non_residual`
drops the sum. If a rule makes s a learned number, the constant scale becomes 1 and
still multiplies the branch. A residual scale that is given as an argument therefore
acts under every rule.
"""

import dataclasses
import difflib
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

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
    """x + s * F(x) with the network's constants (arXiv:1602.07261, section 3.3)."""
    return network


def skip_init(network: Network) -> Network:
    """x + alpha * F(x), with a learned number alpha per sum that starts at 0.

    This is SkipInit (arXiv:2002.10444), which has no batch norm in its source. ReZero
    (2003.04887) has the same form.
    """
    return _learned(network, lambda scale: 0.0)


def learned_scale(network: Network) -> Network:
    """x + alpha * F(x), with a learned alpha per sum that starts at the constant."""
    return _learned(network, lambda scale: scale)


def layer_scale(network: Network) -> Network:
    """x + diag(lambda) * F(x), with learned numbers lambda per channel.

    This is LayerScale (arXiv:2103.17239). lambda starts at 0.1 if the network has up to
    18 residual sums, at 1e-5 with up to 24 and at 1e-6 with more. The source counts the
    layers of a transformer.
    """
    depth = len(residual_scales(network))
    initial = 0.1 if depth <= 18 else 1e-5 if depth <= 24 else 1e-6
    return _learned(network, lambda scale: initial, per_channel=True)


def zero_init(network: Network) -> Network:
    """x + s * F(x) with the constants of the network, and the linear 1x1 starts at 0.

    The zero gamma of arXiv:1706.02677 does the same; here the 1x1 has no batch norm.

    Raises:
      ValueError: a residual branch has no linear convolution.
    """

    def start_at_zero(op: Op) -> Op:
        return dataclasses.replace(op, stddev=0.0) if _linear(op) else op

    def change(op: Residual) -> Residual:
        if map_ops(_ordinary, op.branch) == op.branch:
            raise ValueError(
                f'a residual branch of {network.name} has no linear convolution to '
                'start at zero; end it with ij.expand()'
            )
        return dataclasses.replace(op, branch=map_ops(start_at_zero, op.branch))

    return _map_sums(change, network)


def inverse_sqrt(network: Network) -> Network:
    """x + F(x) / sqrt(L) for L consecutive residual sums (arXiv:2310.02244).

    With this scale, L branches of equal size add as much as a single branch. Sums are
    consecutive if no other block lies between them: L belongs to a stage, not to the
    network, because a reduction normalizes most of its channels anew.
    """
    scales = []
    counts = [len(residuals(block.op)) for block in trunk(network)]
    for is_residual, group in itertools.groupby(counts, bool):
        count = sum(group)
        scales += count * [1 / math.sqrt(count)] if is_residual else []
    return with_scales(network, scales)


def normalizer_free(network: Network) -> Network:
    """x + (0.2 * u / v) * F(x): the scale of NF-ResNets (arXiv:2101.08692).

    In the source, a block is x + alpha * F(x / beta). alpha is 0.2, F has the variance
    1, and beta is the expected standard deviation of x. The variance of x is 1 at the
    start of a stage, and each block adds alpha**2.

    Here, batch norm in the branch removes any beta, and neither F nor x at the start of
    a stage has the variance 1. The rule therefore tracks the expected mean square of
    the trunk from the image on. u is its root at the start of the stage, and v is the
    root of the mean square of F. A stage starts at u**2, and each block adds
    (alpha * u)**2: the recursion of the source, in units of u.

    v is computed for the variance-preserving `he` initializer, which gives v = 1 after
    ReLU. With another initializer the sums add other amounts. The standardized kernels
    of the source are left out.
    """
    return with_scales(network, added_scales(network, alpha=0.2))


def non_residual(network: Network) -> Network:
    """F(x) alone: the network without residual sums, at the same cost.

    The linear 1x1 becomes a convolution with batch norm and ReLU, as wide as the trunk.
    Grids, convolutions and multiply-adds do not change. The number of parameters does
    not change if batch norm has no gamma: the shift replaces the bias.
    """
    leaves = (
        leaf
        for measured, _ in zip(measure(network), trunk(network), strict=False)
        for leaf in measured.leaves
    )

    def drop(op: Op) -> Op:
        # map_network visits the ops without parts in the order of `measured.leaves`.
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
    """Applies the rule of a name in `RULES` to a network.

    Raises:
      ValueError: there is no such rule, or the network has no residual blocks.

    >>> from inception_jax.networks import conv, network, residual, stage
    >>> body = stage('a', 2, residual(conv(8, 3), scale=0.1))
    >>> print(apply_rule('skip_init', network('tiny', body)).stages[0])
    a_1..a_2  relu(x + 1.0 * ([3x3/8] -> 1x1/linear -> learned 0.0))
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
    """Adds a batch norm to the last layer before the average pool: a control.

    Section 3.3 reports that an extra batch norm did not help, but not its place. Here
    it is between the last residual sum and its ReLU: the output of this layer fell
    silent, and every other layer has batch norm before ReLU. After the ReLU, batch norm
    would pass no gradient to a channel that is already silent.

    Raises:
      ValueError: the last block does not end in a residual sum.
    """
    *others, last = network.stages
    blocks = (*last.blocks[:-1], _with_batch_norm(network, last.blocks[-1]))
    last = dataclasses.replace(last, blocks=blocks)
    return dataclasses.replace(network, stages=(*others, last))


def with_scales(
    network: Network, scales: float | Sequence[float] | Mapping[str, float]
) -> Network:
    """Gives each residual sum a constant scale.

    Args:
      scales: one number for all residual sums, one number per sum from the image on, or
        numbers by stage. The sums of a stage without a number keep their scales.

    Raises:
      ValueError: the number of scales is not the number of residual sums, or a stage
        has no residual blocks.

    >>> from inception_jax.networks import conv, network, residual, stage
    >>> body = stage('a', 2, residual(conv(8), scale=1.0))
    >>> residual_scales(with_scales(network('tiny', body), (0.1, 0.2)))
    (0.1, 0.2)
    >>> residual_scales(with_scales(network('tiny', body), {'a': 0.3}))
    (0.3, 0.3)
    """
    rest = iter(scale_per_sum(network, scales, residual_scales(network)))
    return _map_sums(lambda op: dataclasses.replace(op, scale=next(rest)), network)


def scale_per_sum(
    network: Network,
    scales: float | Sequence[float] | Mapping[str, float],
    default: Sequence[float],
) -> tuple[float, ...]:
    """Returns a scale for each residual sum, from the image on.

    Args:
      scales: as in `with_scales`.
      default: the scales of the sums of stages that a mapping does not name.

    Raises:
      ValueError: as `with_scales`.
    """
    stages = [block.stage for block in trunk(network) for _ in residuals(block.op)]
    if isinstance(scales, Mapping):
        _check_stages(network, scales, stages)
        pairs = zip(stages, default, strict=True)
        numbers = [scales.get(stage, number) for stage, number in pairs]
    else:
        numbers = _one_or_several(scales, max(1, len(stages)))
    if len(numbers) != len(stages):
        raise ValueError(
            f'{len(numbers)} residual scales for {network.name}; give one number, '
            f'one for each of its {len(stages)} residual blocks, or numbers by stage'
        )
    try:
        return tuple(map(float, numbers))
    except (TypeError, ValueError):
        raise ValueError(
            f'residual scales {scales!r:.80} for {network.name}; expected numbers'
        ) from None


def _check_stages(
    network: Network, names: Iterable[str], stages: Sequence[str]
) -> None:
    """Raises ValueError for a name that is no stage with residual blocks."""
    for name in names:
        if name not in stages:
            raise ValueError(
                f'no stage {name!r} of {network.name} has residual blocks; the stages '
                'with residual blocks are '
                f'{", ".join(dict.fromkeys(stages)) or "none"}'
            )


def _one_or_several(numbers: float | Iterable[float], count: int) -> list[float]:
    """Lists numbers; one number is repeated `count` times."""
    # Arrays of NumPy and JAX become numbers and lists.
    values = numbers.tolist() if hasattr(numbers, 'tolist') else numbers
    is_several = isinstance(values, Iterable) and not isinstance(values, str)
    return list(values) if is_several else count * [values]


def _with_batch_norm(network: Network, op: Op) -> Op:
    match op:
        case Residual():
            return chain(dataclasses.replace(op, relu=False), Norm(op.relu))
        case Chain((*others, last)):
            return chain(*others, _with_batch_norm(network, last))
    raise ValueError(
        f'the last block of {network.name} does not end in a residual sum for the '
        'extra batch norm; drop extra_batch_norm=True'
    )


def _learned(
    network: Network, initial: Callable[[float], float], *, per_channel: bool = False
) -> Network:
    def change(op: Residual) -> Residual:
        scale = Scale(initial(op.scale), per_channel)
        ops = op.branch.ops if isinstance(op.branch, Chain) else (op.branch,)
        return dataclasses.replace(op, branch=chain(*ops, scale), scale=1.0)

    return _map_sums(change, network)


def _map_sums(function: Callable[[Residual], Op], network: Network) -> Network:
    def change(op: Op) -> Op:
        return function(op) if isinstance(op, Residual) else op

    return map_network(change, network)


def _linear(op: Op) -> bool:
    return isinstance(op, Conv) and op.linear


def _ordinary(op: Op) -> Op:
    return dataclasses.replace(op, linear=False) if _linear(op) else op
