"""The ops that networks are made of: frozen values, and the one walk over them.

An op says what is computed, not how. Every use of a network (shapes, counts, the linen
module, drawings) is a *reading*: an object that gives a meaning to leaves,
concatenations and residual sums, handed to `interpret`.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol, TypeVar

Shape = tuple[int, int, int]
Value = TypeVar('Value')


@dataclasses.dataclass(frozen=True)
class Conv:
    """A convolution with batch norm and ReLU, or linear: a bias and neither of the two.

    `filters` None means the width of the trunk of the residual block that it stands in.
    `clip` shrinks a window that is larger than its grid to the grid. `stddev` is the
    standard deviation that the `truncated_normal` initialiser uses instead of 0.1; 0
    starts the kernel at zero under every initialiser.
    """

    filters: int | None
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: str = 'SAME'
    linear: bool = False
    clip: bool = False
    stddev: float | None = None

    def __post_init__(self):
        _check_window(self)
        if self.filters is not None:
            _check_positive('filters', self.filters)


@dataclasses.dataclass(frozen=True)
class Pool:
    """A maximum (`max`) or an average (`avg`) over windows.

    `kernel` None means the whole grid. Averages are of the values in the grid; with
    `count_padding` the zeros around it count as values, as in torchvision.
    """

    kind: str
    kernel: tuple[int, int] | None
    stride: int
    padding: str
    clip: bool = False
    count_padding: bool = False

    def __post_init__(self):
        _check_window(self)
        if self.kind not in ('max', 'avg'):
            raise ValueError(f'a pool of kind {self.kind!r}; expected max or avg')


@dataclasses.dataclass(frozen=True)
class Norm:
    """Batch norm as after a convolution, then ReLU where `relu`."""

    relu: bool


@dataclasses.dataclass(frozen=True)
class Relu:
    """max(x, 0), where no convolution or batch norm before it has it already."""


@dataclasses.dataclass(frozen=True)
class Scale:
    """A product with one learned number, or with one per channel.

    They start at `initial` and are no part of the weight decay, which is of kernels.
    At the end of a residual branch: SkipInit (arXiv:2002.10444), ReZero (2003.04887);
    per channel LayerScale (2103.17239).
    """

    initial: float
    per_channel: bool

    def __post_init__(self):
        if not math.isfinite(self.initial):
            raise ValueError(
                f'a learned scale that starts at {self.initial}; expected a finite '
                'number'
            )


@dataclasses.dataclass(frozen=True)
class Dropout:
    """Zeroes this share of the values in training and scales the others up."""

    rate: float


@dataclasses.dataclass(frozen=True)
class Dense:
    """A fully connected layer with a bias, on a grid of 1x1."""

    units: int
    stddev: float | None = None


@dataclasses.dataclass(frozen=True)
class Module:
    """A leaf for a linen module of your own.

    `make()` returns the module, which is called as `module(x)`, or as
    `module(x, train=...)` where its signature has `train`. `params` and `macs` map the
    input shape to the number of trainable parameters and of multiply-adds, and `output`
    to the output shape, so that a network can be described without JAX.
    """

    make: Callable[[], Any]
    params: Callable[[Shape], int]
    macs: Callable[[Shape], int]
    output: Callable[[Shape], Shape] = lambda shape: shape


@dataclasses.dataclass(frozen=True)
class Chain:
    """Ops one after another."""

    ops: tuple['Op', ...]


@dataclasses.dataclass(frozen=True)
class Concat:
    """Branches on one input, concatenated along the channels in this order."""

    branches: tuple['Op', ...]

    def __post_init__(self):
        if not self.branches:
            raise ValueError('concat() has no branches; give it one or more')


@dataclasses.dataclass(frozen=True)
class Residual:
    """relu(x + scale * branch(x)), or the sum alone where `relu` is False (Fig. 20)."""

    branch: 'Op'
    scale: float
    relu: bool = True


_Leaf = Conv | Pool | Norm | Relu | Scale | Dropout | Dense | Module
Op = _Leaf | Chain | Concat | Residual


def conv(filters, kernel=1, stride=1, padding='SAME', **options) -> Conv:
    """Returns a convolution; `kernel` is a side or (height, width)."""
    return Conv(filters, _window(kernel), stride, padding, **options)


def expand(*, stddev: float | None = None) -> Conv:
    """Returns the linear 1x1 that ends a residual branch, as wide as the trunk."""
    return Conv(None, linear=True, stddev=stddev)


def max_pool(kernel=3, stride=2, padding='VALID') -> Pool:
    """Returns a maximum over windows; `kernel` is a side or (height, width)."""
    return Pool('max', _window(kernel), stride, padding)


def avg_pool(kernel=3, stride=1, padding='SAME', *, clip=False) -> Pool:
    """Returns an average over windows; `kernel` is a side or (height, width)."""
    return Pool('avg', _window(kernel), stride, padding, clip)


def global_pool() -> Pool:
    """Returns the average over the whole grid."""
    return Pool('avg', None, 1, 'VALID')


def chain(*ops: Op) -> Chain:
    """Returns ops one after another."""
    return Chain(ops)


def concat(*branches: Op) -> Concat:
    """Returns branches on one input, concatenated along the channels in this order."""
    return Concat(branches)


def residual(*branches: Op, scale: float, relu: bool = True) -> Residual:
    """Returns a residual block: branches, their concatenation, the linear 1x1."""
    return Residual(chain(concat(*branches), expand()), scale, relu)


def _window(kernel) -> tuple[int, int]:
    return (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)


def _check_window(op: Conv | Pool) -> None:
    _check_positive('stride', op.stride)
    if op.padding not in ('SAME', 'VALID'):
        raise ValueError(f'padding {op.padding!r}; expected SAME or VALID')
    if op.kernel is None and isinstance(op, Pool):
        return
    if not isinstance(op.kernel, tuple) or len(op.kernel) != 2:
        raise ValueError(f'kernel {op.kernel!r}; expected a side or (height, width)')
    for side in op.kernel:
        _check_positive('kernel', side)


def _check_positive(name: str, number: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f'{name} {number!r}; expected a whole number above 0')


def map_ops(function: Callable[[Op], Op], op: Op) -> Op:
    """Rebuilds `op` from the bottom up with `function` applied to every op in it."""
    match op:
        case Chain():
            op = Chain(tuple(map_ops(function, child) for child in op.ops))
        case Concat():
            op = Concat(tuple(map_ops(function, child) for child in op.branches))
        case Residual():
            op = dataclasses.replace(op, branch=map_ops(function, op.branch))
    return function(op)


def residuals(op: Op) -> list[Residual]:
    """Lists the residual sums of `op` in the order in which a reading meets them."""
    match op:
        case Chain():
            return [found for child in op.ops for found in residuals(child)]
        case Concat():
            return [found for child in op.branches for found in residuals(child)]
        case Residual():
            return [*residuals(op.branch), op]
    return []


class Reading(Protocol[Value]):
    """A meaning for networks over values x of any kind: shapes, arrays, boxes."""

    def width(self, x: Value) -> int: ...
    def leaf(self, name: str, op: Op, x: Value) -> Value: ...
    def concat(self, xs: list[Value]) -> Value: ...
    def add(self, op: Residual, x: Value, branch: Value) -> Value: ...


def interpret(op: Op, x: Value, reading: Reading[Value]) -> Value:
    """Returns what `op` makes of `x` under `reading`.

    Leaves are named here and nowhere else: the n-th of its kind in its branch, as in
    `branch1_conv0`. Chains and residual blocks open no scope, so wrapping a branch in
    either renames nothing.
    """
    return _walk(op, x, reading, prefix='', trunk=None, counts=Counter())


def _walk(op, x, reading, *, prefix, trunk, counts):
    def inside(child, value, *, prefix=prefix, trunk=trunk):
        return _walk(child, value, reading, prefix=prefix, trunk=trunk, counts=counts)

    match op:
        case Chain():
            return reduce(lambda value, child: inside(child, value), op.ops, x)
        case Concat():
            return reading.concat(
                [
                    inside(branch, x, prefix=f'{prefix}branch{i}_')
                    for i, branch in enumerate(op.branches)
                ]
            )
        case Residual():
            return reading.add(op, x, inside(op.branch, x, trunk=x))
        case Conv(filters=None):
            if trunk is None:
                raise ValueError(
                    'a convolution without a number of filters stands outside any '
                    'residual branch; give it a number, or put it inside residual(...)'
                )
            op = dataclasses.replace(op, filters=reading.width(trunk))
    stem = prefix + _kind(op)
    name = f'{stem}{counts[stem]}'
    counts[stem] += 1
    return reading.leaf(name, op, x)


def _kind(op: Op) -> str:
    if isinstance(op, Conv) and op.linear:
        return 'linear'
    return type(op).__name__.lower()
