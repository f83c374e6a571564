"""Relatives of a network: other widths and other numbers of blocks."""

import dataclasses
from collections.abc import Callable, Mapping

from inception_jax.networks.network import Network, Stage, check_network
from inception_jax.networks.ops import Conv, Op, map_ops

# A larger factor is treated as a typing error; measuring such a network takes minutes.
LARGEST_FACTOR = 100


def scaled(
    network: Network,
    *,
    width: float | Mapping[str, float] = 1.0,
    depth: float | Mapping[str, float] = 1.0,
) -> Network:
    """Returns a relative of a network with other widths and other numbers of blocks.

    A residual block is as wide as its trunk. The auxiliary head has the width of the
    stage that it follows.

    Args:
      width: multiplies the filters of every convolution, with a result of at least 1;
        one number, or numbers by stage. A stage without a number does not change.
      depth: multiplies the number of blocks of every numbered stage, with a result of
        at least 1; as for `width`. The first blocks are kept. If there are too few, the
        last block is repeated.

    Raises:
      ValueError: there is no such stage, or a number is not above 0.

    >>> from inception_jax.networks import load
    >>> scaled(load('inception_resnet_v1'), width=0.25, depth={'a': 0.2, 'b': 0.1})
    Network('inception_resnet_v1', 1000 classes, 299x299, 1.4 M parameters)
    """

    def resize(stage: Stage) -> Stage:
        blocks = stage.blocks
        if stage.numbered:
            count = max(1, round(len(blocks) * _of_stage(depth, stage.name)))
            blocks = (blocks + count * blocks[-1:])[:count]
        widen = _widen(_of_stage(width, stage.name))
        return dataclasses.replace(
            stage, blocks=tuple(map_ops(widen, block) for block in blocks)
        )

    check_network(network)
    _check_factors(network, width)
    _check_factors(network, depth)
    auxiliary = network.auxiliary
    if auxiliary:
        widen = _widen(_of_stage(width, auxiliary.after))
        auxiliary = dataclasses.replace(auxiliary, op=map_ops(widen, auxiliary.op))
    return dataclasses.replace(
        network, stages=tuple(map(resize, network.stages)), auxiliary=auxiliary
    )


def _of_stage(factor: float | Mapping[str, float], stage: str) -> float:
    return factor.get(stage, 1.0) if isinstance(factor, Mapping) else factor


def _check_factors(network: Network, factor: float | Mapping[str, float]) -> None:
    names = [stage.name for stage in network.stages]
    by_stage = factor if isinstance(factor, Mapping) else dict.fromkeys(names, factor)
    for name, number in by_stage.items():
        if name not in names:
            raise ValueError(
                f'{network.name} has no stage {name!r}; its stages are '
                f'{", ".join(names)}'
            )
        if not isinstance(number, int | float) or not 0 < number <= LARGEST_FACTOR:
            raise ValueError(
                f'a width or depth of {number!r}; expected a number above 0 and up to '
                f"{LARGEST_FACTOR}, or numbers by stage as in {{'a': 0.5}}"
            )


def _widen(width: float) -> Callable[[Op], Op]:
    def widen(op: Op) -> Op:
        if isinstance(op, Conv) and op.filters is not None:
            return dataclasses.replace(op, filters=max(1, round(op.filters * width)))
        return op

    return widen
