"""The ops that networks are made of: frozen values, and the one walk over them.

An op says what is computed, not how. Each use of a network (shapes, counts, the linen
module, figures) is a `Reading`: an object that gives a meaning to leaves, to
concatenations and to residual sums. `interpret` walks over an op with a reading.

`str(op)` is the notation of an op: `1x1/64 -> 3x3/96`.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Protocol, TypeVar

Shape = tuple[int, int, int]
Value = TypeVar('Value')


class _Notated:
    """An op whose `str` is its notation; a notebook shows the notation as well."""

    def __str__(self):
        # Imported here, because the notation is a reading of the ops of this file.
        from inception_jax.networks.describe.notation import notation

        return notation(self)

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


@dataclasses.dataclass(frozen=True)
class Conv(_Notated):
    """A convolution with batch norm and ReLU, or a linear convolution with a bias.

    Attributes:
      filters: the number of output channels. None means as many channels as the trunk
        of the residual block has that contains the convolution.
      kernel: (height, width) of the window.
      stride: the step of the window in both directions.
      padding: SAME or VALID.
      linear: whether a bias replaces batch norm and ReLU.
      clip: whether a window that is larger than the grid shrinks to the grid.
      stddev: the standard deviation that the `truncated_normal` initializer uses in
        place of 0.1. With 0 every initializer starts the kernel at zero.

    Raises:
      ValueError: a field is out of its range.

    >>> print(Conv(32, (1, 7), stride=2))
    1x7/32 s2
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
class Pool(_Notated):
    """The maximum or the average over windows.

    Attributes:
      kind: max or avg.
      kernel: (height, width) of the window; None means the whole grid.
      stride: the step of the window in both directions.
      padding: SAME or VALID.
      clip: whether a window that is larger than the grid shrinks to the grid.
      count_padding: whether an average counts the zeros around the grid as values, as
        in torchvision. Without it the average is over the values inside the grid.

    Raises:
      ValueError: a field is out of its range.

    >>> print(Pool('avg', None, 1, 'VALID'))
    global avg
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
class Norm(_Notated):
    """Batch norm as after a convolution, followed by ReLU if `relu` is True.

    >>> print(Norm(relu=True))
    batch norm relu
    """

    relu: bool


@dataclasses.dataclass(frozen=True)
class Relu(_Notated):
    """max(x, 0), for an input that no convolution or batch norm has rectified."""


@dataclasses.dataclass(frozen=True)
class Scale(_Notated):
    """A product with one learned number, or with one learned number per channel.

    Weight decay does not include the numbers. At the end of a residual branch a single
    number is SkipInit (arXiv:2002.10444) or ReZero (2003.04887), and numbers per
    channel are LayerScale (2103.17239).

    Attributes:
      initial: the value at which the numbers start.
      per_channel: whether each channel has its own number.

    Raises:
      ValueError: `initial` is not finite.

    >>> print(Scale(0.1, per_channel=True))
    learned 0.1 per channel
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
class Dropout(_Notated):
    """Sets a share `rate` of the values to 0 in training and scales up the others."""

    rate: float


@dataclasses.dataclass(frozen=True)
class Dense(_Notated):
    """A fully connected layer with a bias, on a grid of 1x1."""

    units: int
    stddev: float | None = None


@dataclasses.dataclass(frozen=True)
class Module(_Notated):
    """A leaf that holds a linen module of the user.

    The three functions of the input shape [height, width, channels] let `describe` work
    without JAX.

    Attributes:
      make: returns the linen module. It is called as `module(x)`, or as
        `module(x, train=...)` if its signature has `train`.
      params: returns the number of trainable parameters for an input shape.
      macs: returns the number of multiply-adds of one image for an input shape.
      output: returns the output shape for an input shape.

    >>> def attention(): ...
    >>> print(Module(attention, params=lambda shape: 0, macs=lambda shape: 0))
    attention
    """

    make: Callable[[], Any]
    params: Callable[[Shape], int]
    macs: Callable[[Shape], int]
    output: Callable[[Shape], Shape] = lambda shape: shape


@dataclasses.dataclass(frozen=True)
class Chain(_Notated):
    """Ops one after another.

    >>> Chain((conv(64), conv(96, 3))).ops[0].filters
    64
    """

    ops: tuple['Op', ...]

    def __post_init__(self):
        check_ops('chain()', self.ops)


@dataclasses.dataclass(frozen=True)
class Concat(_Notated):
    """Branches on one input, concatenated along the channels in this order.

    Raises:
      ValueError: there are no branches.

    >>> print(Concat((conv(64), chain(conv(48), conv(64, 5)))))
    [1x1/64; 1x1/48 -> 5x5/64]
    """

    branches: tuple['Op', ...]

    def __post_init__(self):
        if not self.branches:
            raise ValueError('concat() has no branches; give it one or more')
        check_ops('concat()', self.branches)


@dataclasses.dataclass(frozen=True)
class Residual(_Notated):
    """relu(x + scale * branch(x)), or the sum alone if `relu` is False (Fig. 20).

    >>> print(Residual(conv(64, 3), scale=0.1))
    relu(x + 0.1 * (3x3/64))
    """

    branch: 'Op'
    scale: float
    relu: bool = True


Op = (
    Conv
    | Pool
    | Norm
    | Relu
    | Scale
    | Dropout
    | Dense
    | Module
    | Chain
    | Concat
    | Residual
)


def conv(filters, kernel=1, stride=1, padding='SAME', **options) -> Conv:
    """Returns a convolution; `kernel` is a side or (height, width).

    `options` are the other fields of `Conv`.

    >>> print(conv(96, 3, 2, 'VALID'))
    3x3/96 s2V
    """
    return Conv(filters, _window(kernel), stride, padding, **options)


def expand(*, stddev: float | None = None) -> Conv:
    """Returns the linear 1x1 convolution at the end of a residual branch.

    It has as many filters as the trunk has channels.

    >>> print(Residual(chain(conv(32, 3), expand()), scale=0.1))
    relu(x + 0.1 * (3x3/32 -> 1x1/linear))
    """
    return Conv(None, linear=True, stddev=stddev)


def max_pool(kernel=3, stride=2, padding='VALID') -> Pool:
    """Returns a maximum over windows; `kernel` is a side or (height, width).

    >>> print(max_pool())
    max 3x3 s2V
    """
    return Pool('max', _window(kernel), stride, padding)


def avg_pool(kernel=3, stride=1, padding='SAME', *, clip=False) -> Pool:
    """Returns an average over windows; `kernel` is a side or (height, width).

    >>> print(avg_pool())
    avg 3x3
    """
    return Pool('avg', _window(kernel), stride, padding, clip)


def global_pool() -> Pool:
    """Returns the average over the whole grid."""
    return Pool('avg', None, 1, 'VALID')


def chain(*ops: Op) -> Chain:
    """Returns ops one after another.

    >>> print(chain(conv(64), conv(96, 3)))
    1x1/64 -> 3x3/96
    """
    return Chain(ops)


def concat(*branches: Op) -> Concat:
    """Returns branches on one input, concatenated along the channels in this order.

    Raises:
      ValueError: there are no branches.

    >>> print(concat(max_pool(), conv(96, 3, 2, 'VALID')))
    [max 3x3 s2V; 3x3/96 s2V]
    """
    return Concat(branches)


def residual(*branches: Op, scale: float, relu: bool = True) -> Residual:
    """Returns a residual block: branches, their concatenation, the linear 1x1.

    >>> print(residual(conv(32), chain(conv(32), conv(32, 3)), scale=0.17))
    relu(x + 0.17 * ([1x1/32; 1x1/32 -> 3x3/32] -> 1x1/linear))
    """
    return Residual(chain(concat(*branches), expand()), scale, relu)


def shape_text(sides: Sequence[int]) -> str:
    """Writes a shape or a window: `35x35x384`, `1x7`."""
    return 'x'.join(map(str, sides))


def check_ops(owner: str, ops: tuple) -> None:
    """Raises ValueError unless the parts of a chain or a stage are ops."""
    for op in ops:
        if not isinstance(op, Op):
            raise ValueError(
                f'{owner} has the part {op!r}; expected ops such as conv(32)'
            )


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
    """Rebuilds `op` from the bottom up with `function` applied to every op in it.

    >>> def widen(op):
    ...     return conv(2 * op.filters) if isinstance(op, Conv) else op
    >>> print(map_ops(widen, chain(conv(64), max_pool())))
    1x1/128 -> max 3x3 s2V
    """
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
            return [inner for child in op.ops for inner in residuals(child)]
        case Concat():
            return [inner for child in op.branches for inner in residuals(child)]
        case Residual():
            return [*residuals(op.branch), op]
    return []


class Reading(Protocol[Value]):
    """A meaning for the ops of a network, over values x of one kind: shapes, arrays.

    `width` returns the number of channels of a value. `leaf`, `concat` and `add` return
    the value that an op without parts, a concatenation or a residual sum computes.
    """

    def width(self, x: Value) -> int: ...
    def leaf(self, name: str, op: Op, x: Value) -> Value: ...
    def concat(self, xs: list[Value]) -> Value: ...
    def add(self, op: Residual, x: Value, branch: Value) -> Value: ...


def interpret(op: Op, x: Value, reading: Reading[Value]) -> Value:
    """Applies `op` to the value `x` in the meaning that `reading` gives.

    The names of leaves are made here and nowhere else: `branch1_conv0` is the first
    convolution of the second branch. Chains and residual blocks open no scope, so a
    branch that is wrapped in one of them keeps its names.

    Raises:
      ValueError: a convolution without a number of filters is outside any residual
        branch.
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
                    'a convolution without a number of filters is outside any '
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
