"""A network as a value: named stages of blocks, its heads and its images."""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from inception_jax.networks.images import IMAGE_FIELDS, WHOLE_IMAGE, Images
from inception_jax.networks.ops import (
    Conv,
    Dense,
    Dropout,
    Op,
    Residual,
    Scale,
    chain,
    check_ops,
    global_pool,
    map_ops,
    residuals,
)

Number = TypeVar('Number')

# A larger number of classes is treated as a typing error.
MOST_CLASSES = 1_000_000

# The methods that show a value import its table or its figure only when they are
# called, because tables and figures are readings of the values of this file.


class Block(NamedTuple):
    """A block of a trunk: its name, the name of its stage, and its op.

    `str(block)` is its name and its notation, which a notebook shows.
    """

    name: str
    stage: str
    op: Op

    def __str__(self):
        from inception_jax.networks.describe.table import notation_lines

        return '\n'.join(notation_lines([self]))

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


@dataclasses.dataclass(frozen=True, repr=False)
class Stage:
    """Blocks on one grid, named name_1, name_2 and so on if `numbered` is True.

    `str(stage)` has a line for each block that differs from the others. A notebook
    shows the same lines, and `draw(network, stage.name)` is the figure.

    >>> from inception_jax.networks.ops import conv
    >>> [block.name for block in Stage('a', (conv(8), conv(8)), True).named_blocks()]
    ['a_1', 'a_2']
    """

    name: str
    blocks: tuple[Op, ...]
    numbered: bool

    def __post_init__(self):
        if not self.blocks:
            raise ValueError(f'stage {self.name} has no blocks; give it one or more')
        check_ops(f'stage {self.name}', self.blocks)

    def named_blocks(self) -> Iterator[Block]:
        """Yields the blocks with their names."""
        for number, op in enumerate(self.blocks, 1):
            name = f'{self.name}_{number}' if self.numbered else self.name
            yield Block(name, self.name, op)

    def __str__(self):
        from inception_jax.networks.describe.table import notation_lines

        return '\n'.join(notation_lines(self.named_blocks()))

    def __repr__(self):
        count = len(self.blocks)
        return f'Stage({self.name!r}, {count} block{"s" * (count != 1)})'

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


@dataclasses.dataclass(frozen=True)
class Auxiliary:
    """An auxiliary classifier on the output of the stage `after`: `op`, then logits."""

    after: str
    op: Op


@dataclasses.dataclass(frozen=True, repr=False)
class Network:
    """An image classifier.

    `print(network)` prints the table of `describe`, `repr(network)` is one short line,
    and a notebook shows the figure. To change a field, write
    `dataclasses.replace(network, input_size=160)`.

    Attributes:
      name: the name of the network in tables, runs and errors.
      stages: the blocks from the image to the final feature map.
      auxiliary: the auxiliary head, or None.
      classes: the number of logits.
      input_size: the side of the square input, in pixels. This field and the next four
        are the fields of `Images`, and `network.images` holds all five.
      dropout: the share of the final features that is dropped in training.
      batch_norm_gamma: whether batch norm scales its output, or only shifts it.
      batch_norm_epsilon: the number that batch norm adds to the variance.

    Raises:
      ValueError: names clash, a name leads nowhere, or a number is out of its range.

    >>> from inception_jax.networks import load
    >>> net = dataclasses.replace(load('inception_v4'), classes=10, input_size=160)
    >>> net
    Network('inception_v4', 10 classes, 160x160, 41.1 M parameters)
    >>> [stage.name for stage in net.stages]
    ['stem', 'a', 'reduction_a', 'b', 'reduction_b', 'c']
    >>> net.images.crop_fraction
    0.875
    """

    name: str
    stages: tuple[Stage, ...]
    auxiliary: Auxiliary | None = None
    classes: int = 1000
    input_size: int = Images.input_size
    crop_fraction: float = Images.crop_fraction
    square_crop: bool = Images.square_crop
    interpolation: str = Images.interpolation
    pixel_range: tuple[float, float] = Images.pixel_range
    dropout: float = 0.2
    batch_norm_gamma: bool = False
    batch_norm_epsilon: float = 0.001

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise ValueError(
                f'the name of a network is {self.name!r}; expected a text first'
            )
        for stage in self.stages:
            if not isinstance(stage, Stage):
                raise ValueError(
                    f'{self.name} has the stage {stage!r}; expected stage() or one()'
                )
        if not isinstance(self.classes, int) or not 0 < self.classes <= MOST_CLASSES:
            raise ValueError(
                f'classes of {self.name} is {self.classes!r}; expected a whole number '
                f'above 0 and up to {MOST_CLASSES:,}'
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f'dropout of {self.name} is {self.dropout!r}; expected a share from 0 '
                'to below 1'
            )
        if not 0 < self.batch_norm_epsilon < math.inf:
            raise ValueError(
                f'batch_norm_epsilon of {self.name} is {self.batch_norm_epsilon!r}; '
                'expected a finite number above 0'
            )
        _ = self.images  # checks its fields
        _check_names(self)
        for block in trunk(self):
            map_ops(_refuse_dropout, block.op)

    @property
    def images(self) -> Images:
        """The size, crop, interpolation and pixel range of its images."""
        return Images(**{name: getattr(self, name) for name in IMAGE_FIELDS})

    def __str__(self):
        from inception_jax.networks.describe.table import table

        try:
            return table(self)
        except Exception as error:  # The functions of a Module are the user's.
            return f'{self!r}: {error}'

    def __repr__(self):
        from inception_jax.networks.describe.table import one_line

        return one_line(self)

    def _repr_svg_(self):
        from inception_jax.networks.figures.figure import draw

        try:
            return draw(self)
        except Exception:  # A notebook shows the line of `_repr_pretty_` instead.
            return None

    def _repr_pretty_(self, printer, cycle):
        from inception_jax.networks.shapes import measure

        try:
            measure(self)
        except Exception:  # `str` says why.
            printer.text(str(self))
        else:
            printer.text(repr(self))


def network(name: str, *stages: Stage, **properties) -> Network:
    """Returns a network of these stages; `properties` are the other fields of it.

    Raises:
      ValueError: names clash, a name leads nowhere, or a number is out of its range.

    >>> from inception_jax.networks import conv, residual
    >>> stem = one('stem', conv(32, 3, 2))
    >>> body = stage('a', 2, residual(conv(8), conv(8, 3), scale=0.1))
    >>> network('tiny', stem, body, classes=10, input_size=32)
    Network('tiny', 10 classes, 32x32, 7,466 parameters)
    """
    return Network(name, stages, **properties)


def one(name: str, block: Op) -> Stage:
    """Returns a stage that is a single block of the same name.

    >>> from inception_jax.networks import chain, conv
    >>> print(one('stem', chain(conv(32, 3, 2), conv(64, 3))))
    stem  3x3/32 s2 -> 3x3/64
    """
    return Stage(name, (block,), numbered=False)


def stage(name: str, repeats: int, *blocks: Op) -> Stage:
    """Returns a numbered stage: the blocks in this order, `repeats` times.

    >>> from inception_jax.networks import conv
    >>> print(stage('a', 2, conv(32), conv(32, 3)))
    a_1, a_3  1x1/32
    a_2, a_4  3x3/32
    """
    if not isinstance(repeats, int) or repeats < 1:
        raise ValueError(
            f'stage {name} repeats {repeats!r} times; expected stage(name, repeats, '
            'block, ...) with a whole number above 0'
        )
    return Stage(name, repeats * blocks, numbered=True)


def trunk(network: Network) -> Iterator[Block]:
    """Yields the blocks from the image to the final feature map."""
    for stage in network.stages:
        yield from stage.named_blocks()


def head(network: Network) -> Op:
    """Returns the op from the final feature map to the logits (Figs. 9 and 15)."""
    return chain(global_pool(), Dropout(network.dropout), Dense(network.classes, 0.01))


def auxiliary_head(network: Network) -> Op:
    """Returns the op from the output of the stage `auxiliary.after` to its logits."""
    logits = Dense(network.classes, 0.001)
    return chain(network.auxiliary.op, global_pool(), logits)


def check_network(network: Any) -> None:
    """Raises TypeError for a value that is not a network, such as its name."""
    if not isinstance(network, Network):
        raise TypeError(
            f'{network!r:.80} is not a network; ij.load(NAME) returns the network of a '
            'name'
        )


def residual_scales(network: Network) -> tuple[float, ...]:
    """Lists the scale of each residual sum, from the image to the final feature map."""
    check_network(network)
    sums = (residual for block in trunk(network) for residual in residuals(block.op))
    return tuple(residual.scale for residual in sums)


def by_block(
    network: Network, numbers: Iterable[Number]
) -> Iterator[tuple[Block, list[Number]]]:
    """Yields the blocks of the trunk, each with the numbers of its residual sums.

    Args:
      numbers: one number per residual sum, from the image to the final feature map.

    >>> from inception_jax.networks import conv, residual
    >>> body = one('stem', conv(8)), stage('a', 2, residual(conv(8), scale=0.1))
    >>> for block, scales in by_block(network('tiny', *body), (0.1, 0.2)):
    ...     print(block.name, scales)
    stem []
    a_1 [0.1]
    a_2 [0.2]
    """
    rest = iter(numbers)
    for block in trunk(network):
        yield block, list(islice(rest, len(residuals(block.op))))


def map_network(function: Callable[[Op], Op], network: Network) -> Network:
    """Rebuilds a network with `function` applied to every op of its trunk.

    >>> from inception_jax.networks import Residual, conv
    >>> def halve(op):
    ...     is_sum = isinstance(op, Residual)
    ...     return dataclasses.replace(op, scale=op.scale / 2) if is_sum else op
    >>> body = stage('a', 1, Residual(conv(3, 3), scale=0.2))
    >>> residual_scales(map_network(halve, network('tiny', body)))
    (0.1,)
    """
    check_network(network)
    stages = [
        dataclasses.replace(s, blocks=tuple(map_ops(function, b) for b in s.blocks))
        for s in network.stages
    ]
    return dataclasses.replace(network, stages=tuple(stages))


def program(network: Network) -> Network:
    """Returns the part of a network on which its compiled step depends.

    The name, the crop, the residual scales, the dropout and the initial values are set
    to constants: a step takes them as arguments or does not use them. Networks whose
    programs are equal share one compiled step.
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
        network, name='', auxiliary=auxiliary, dropout=0.0, **WHOLE_IMAGE
    )


def fingerprint(network: Network) -> str:
    """Returns 12 hexadecimal digits that two networks share only if they are equal."""
    return hashlib.sha256(_canonical(network).encode()).hexdigest()[:12]


def _canonical(value: Any) -> str:
    """Writes a value in the same way in every process, unlike `repr` of a function."""
    if isinstance(value, functools.partial):
        parts = (value.func, *value.args, *sorted(value.keywords.items()))
        return f'partial{_canonical(parts)}'
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Fields at their defaults are left out, so that a new field changes no text.
        fields = dataclasses.fields(value)
        pairs = [(f.name, getattr(value, f.name), f.default) for f in fields]
        changed = tuple((name, x) for name, x, default in pairs if x != default)
        return type(value).__name__ + _canonical(changed)
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
        raise ValueError(f'{network.name} has no stages, or a stage without blocks')
    for name in blocks:
        if not name.isidentifier():
            raise ValueError(f'{name!r} cannot name a block; use letters, digits and _')
        if blocks.count(name) > 1 or name in ('logits', 'auxiliary'):
            raise ValueError(
                f'{network.name} has two parts called {name}; give each stage its own '
                'name, other than logits and auxiliary'
            )
    if network.auxiliary and network.auxiliary.after not in stages:
        raise ValueError(
            f'the auxiliary head of {network.name} is after '
            f'{network.auxiliary.after}; expected one of {", ".join(stages)}'
        )


def _refuse_dropout(op: Op) -> Op:
    if isinstance(op, Dropout):
        raise ValueError(
            'Dropout in the trunk; only the head drops features: set Network.dropout'
        )
    return op
