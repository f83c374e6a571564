"""A network as a value: named stages of blocks, its heads, its images."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from inception_jax.networks.ops import (
    Conv,
    Dense,
    Dropout,
    Op,
    Residual,
    Scale,
    chain,
    global_pool,
    map_ops,
    residuals,
)

# How evaluation resizes images: `bilinear` as the authors' code, from the four nearest
# pixels whatever the sizes, or as PyTorch's transforms do, smoothed where they shrink.
INTERPOLATIONS = ('bilinear', 'smooth_bilinear', 'smooth_bicubic')


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks on one grid, called name_1, name_2 and so on where `numbered`."""

    name: str
    blocks: tuple[Op, ...]
    numbered: bool


@dataclasses.dataclass(frozen=True)
class Auxiliary:
    """An auxiliary classifier on the output of the stage `after`: `op`, then logits."""

    after: str
    op: Op


@dataclasses.dataclass(frozen=True)
class Network:
    """An image classifier.

    `crop_fraction` is the central share of each side that evaluation sees; with
    `square_crop` of the shorter side, of which it is a square. `interpolation` is one
    of `INTERPOLATIONS`, `pixel_range` what 0 and 255 become. Without `batch_norm_gamma`
    batch norm only shifts.
    """

    name: str
    stages: tuple[Stage, ...]
    auxiliary: Auxiliary | None = None
    classes: int = 1000
    input_size: int = 299
    crop_fraction: float = 0.875
    square_crop: bool = False
    interpolation: str = 'bilinear'
    pixel_range: tuple[float, float] = (-1.0, 1.0)
    dropout: float = 0.2
    batch_norm_gamma: bool = False
    batch_norm_epsilon: float = 0.001

    def __post_init__(self):
        for size in ('classes', 'input_size'):
            number = getattr(self, size)
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f'{size} of {self.name} is {number!r}; expected a whole number '
                    'above 0'
                )
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(
                f'crop_fraction is {self.crop_fraction}; expected the share of each '
                'side that evaluation sees, above 0 and up to 1, e.g. 0.875'
            )
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f'interpolation of {self.name} is {self.interpolation!r}; expected one '
                f'of {", ".join(INTERPOLATIONS)}'
            )
        _check_names(self)
        for block in trunk(self):
            map_ops(_refuse_dropout, block.op)


class Block(NamedTuple):
    """A block of a trunk: its name, that of its stage, and what it computes."""

    name: str
    stage: str
    op: Op


def network(name: str, *stages: Stage, **properties) -> Network:
    """Returns a network of these stages; `properties` are the fields of `Network`.

    Raises:
      ValueError: names clash or lead nowhere, or a number is out of its range.
    """
    return Network(name, stages, **properties)


def one(name: str, block: Op) -> Stage:
    """Returns a stage that is a single block of the same name."""
    return Stage(name, (block,), numbered=False)


def stage(name: str, repeats: int, *blocks: Op) -> Stage:
    """Returns a numbered stage: the blocks in this order, `repeats` times."""
    return Stage(name, repeats * blocks, numbered=True)


def trunk(network: Network) -> Iterator[Block]:
    """Yields the blocks from the image to the last grid."""
    for stage in network.stages:
        for number, op in enumerate(stage.blocks, 1):
            name = f'{stage.name}_{number}' if stage.numbered else stage.name
            yield Block(name, stage.name, op)


def head(network: Network) -> Op:
    """Returns what turns the last grid into logits (Figs. 9 and 15)."""
    return chain(global_pool(), Dropout(network.dropout), Dense(network.classes, 0.01))


def auxiliary_head(network: Network) -> Op:
    """Returns what turns the grid after the stage `auxiliary.after` into logits."""
    logits = Dense(network.classes, 0.001)
    return chain(network.auxiliary.op, global_pool(), logits)


def residual_scales(network: Network) -> tuple[float, ...]:
    """Lists the scale of every residual block, from the image to the last grid."""
    return tuple(sum_.scale for b in trunk(network) for sum_ in residuals(b.op))


def map_network(function: Callable[[Op], Op], network: Network) -> Network:
    """Rebuilds a network with `function` applied to every op of its trunk."""
    stages = [
        dataclasses.replace(s, blocks=tuple(map_ops(function, b) for b in s.blocks))
        for s in network.stages
    ]
    return dataclasses.replace(network, stages=tuple(stages))


def scaled(
    network: Network,
    *,
    width: float | Mapping[str, float] = 1.0,
    depth: float | Mapping[str, float] = 1.0,
) -> Network:
    """Returns a relative with other widths and numbers of blocks.

    `width` multiplies the filters of every convolution of a block and `depth` the
    number of blocks of every numbered stage, of which the first ones are kept or,
    beyond the last, repeated. Both are one number or numbers by stage; stages not named
    stay as they are. Neither falls below one. A residual block follows the width of its
    trunk.
    """

    def resize(stage: Stage) -> Stage:
        blocks = stage.blocks
        if stage.numbered:
            count = max(1, round(len(blocks) * _of(depth, stage.name)))
            blocks = (blocks + count * blocks[-1:])[:count]
        widen = _widen(_of(width, stage.name))
        return dataclasses.replace(
            stage, blocks=tuple(map_ops(widen, block) for block in blocks)
        )

    _check_sizes(network, width)
    _check_sizes(network, depth)
    auxiliary = network.auxiliary
    if auxiliary:
        widen = _widen(_of(width, auxiliary.after))
        auxiliary = dataclasses.replace(auxiliary, op=map_ops(widen, auxiliary.op))
    return dataclasses.replace(
        network, stages=tuple(map(resize, network.stages)), auxiliary=auxiliary
    )


def program(network: Network) -> Network:
    """Returns what of a network its compiled step depends on.

    The name, the crop, and the numbers that a step takes as arguments or that only
    initial values depend on, are the same in all: relatives that differ in nothing else
    are equal, and a step that is compiled for one serves the others. Who applies it
    gives the residual scales and the dropout.
    """

    def forget(op: Op) -> Op:
        match op:
            case Residual():
                return dataclasses.replace(op, scale=0.0)
            case Scale():
                return dataclasses.replace(op, initial=0.0)
            case Conv() | Dense():
                return dataclasses.replace(op, stddev=None)
        return op

    network = map_network(forget, network)
    auxiliary = network.auxiliary
    if auxiliary:
        op = map_ops(forget, auxiliary.op)
        auxiliary = dataclasses.replace(auxiliary, op=op)
    return dataclasses.replace(
        network,
        name='',
        crop_fraction=1.0,
        square_crop=False,
        interpolation=INTERPOLATIONS[0],
        dropout=0.0,
        auxiliary=auxiliary,
    )


def fingerprint(network: Network) -> str:
    """Returns 12 hexadecimal digits that two networks share only if they are equal."""
    return hashlib.sha256(_canonical(network).encode()).hexdigest()[:12]


def _canonical(value: Any) -> str:
    """Returns a text that is the same in every process, unlike `repr` of a function."""
    if isinstance(value, functools.partial):
        parts = (value.func, *value.args, *sorted(value.keywords.items()))
        return f'partial{_canonical(parts)}'
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Without what stands at its default, so that a new field changes no text.
        fields = dataclasses.fields(value)
        pairs = [(f.name, getattr(value, f.name), f.default) for f in fields]
        given = tuple((name, x) for name, x, default in pairs if x != default)
        return type(value).__name__ + _canonical(given)
    if isinstance(value, tuple):
        return f'({", ".join(map(_canonical, value))})'
    if callable(value):
        named = value if hasattr(value, '__qualname__') else type(value)
        return f'{named.__module__}:{named.__qualname__}'
    return repr(value)


def _check_names(network: Network) -> None:
    stages = [stage.name for stage in network.stages]
    blocks = [block.name for block in trunk(network)]
    if not blocks or not all(stage.blocks for stage in network.stages):
        raise ValueError(f'{network.name} has no stages, or one without blocks')
    for name in blocks:
        if not name.isidentifier():
            raise ValueError(f'{name!r} cannot name a block; use letters, digits and _')
        if blocks.count(name) > 1 or name in ('logits', 'auxiliary'):
            raise ValueError(
                f'{network.name} has two parts called {name}; give its stages names of '
                'their own, and none of logits and auxiliary'
            )
    if network.auxiliary and network.auxiliary.after not in stages:
        raise ValueError(
            f'the auxiliary head of {network.name} stands after '
            f'{network.auxiliary.after}; expected one of {", ".join(stages)}'
        )


def _refuse_dropout(op: Op) -> Op:
    if isinstance(op, Dropout):
        raise ValueError(
            'Dropout in the trunk; only the head has it, see Network.dropout'
        )
    return op


def _of(number: float | Mapping[str, float], stage: str) -> float:
    return number.get(stage, 1.0) if isinstance(number, Mapping) else number


def _check_sizes(network: Network, size: float | Mapping[str, float]) -> None:
    names = [stage.name for stage in network.stages]
    by_stage = size if isinstance(size, Mapping) else dict.fromkeys(names, size)
    for name, number in by_stage.items():
        if name not in names:
            raise ValueError(
                f'{network.name} has no stage {name!r}; its stages are '
                f'{", ".join(names)}'
            )
        if not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ValueError(
                f'a width or depth of {number!r}; expected a number above 0, or '
                "numbers by stage as in {'a': 0.5}"
            )


def _widen(width: float) -> Callable[[Op], Op]:
    def widen(op: Op) -> Op:
        if isinstance(op, Conv) and op.filters is not None:
            return dataclasses.replace(op, filters=max(1, round(op.filters * width)))
        return op

    return widen
