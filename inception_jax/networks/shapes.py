"""The reading of a network as shapes: grids, widths, parameters and multiply-adds."""

import dataclasses
import functools
import math
from typing import NamedTuple

from inception_jax.networks.images import LARGEST_SIZE
from inception_jax.networks.network import (
    Network,
    auxiliary_head,
    check_network,
    head,
    trunk,
)
from inception_jax.networks.ops import (
    Conv,
    Dense,
    Module,
    Norm,
    Op,
    Pool,
    Residual,
    Scale,
    Shape,
    interpret,
    shape_text,
)

# The largest side that is tried in the search for the least input size.
LARGEST_TRIAL = 1024


@dataclasses.dataclass(frozen=True)
class Leaf:
    """An op without parts, in its place. Shapes are [height, width, channels]."""

    name: str
    op: Op
    input: Shape
    output: Shape

    @property
    def window(self) -> tuple[int, int] | None:
        """The window of a convolution or a pool after clipping."""
        return window(self.op, self.input)

    @property
    def params(self) -> int:
        """The number of trainable parameters; batch norm counts its shift alone."""
        match self.op:
            case Conv():
                height, width = self.window
                return (height * width * self.input[2] + 1) * self.output[2]
            case Dense():
                return (self.input[2] + 1) * self.output[2]
            case Norm():
                return self.input[2]
            case Scale():
                return math.prod(scale_shape(self.op, self.input[2]))
            case Module():
                return self.op.params(self.input)
        return 0

    @property
    def batch_norm_channels(self) -> int:
        """The number of channels that batch norm normalizes: one gamma for each."""
        match self.op:
            case Conv(linear=False) | Norm():
                return self.output[2]
        return 0

    @property
    def macs(self) -> int:
        """The multiply-adds of a convolution or a dense layer for one image."""
        match self.op:
            case Conv():
                height, width = self.window
                grid = self.output[0] * self.output[1]
                return grid * height * width * self.input[2] * self.output[2]
            case Dense():
                return self.input[2] * self.output[2]
            case Module():
                return self.op.macs(self.input)
        return 0

    @property
    def layers(self) -> int:
        """1 for a convolution or a dense layer, else 0."""
        return int(isinstance(self.op, Conv | Dense))


class TooSmall(ValueError):
    """A window is larger than its grid, because the input is too small."""


class Measured(NamedTuple):
    """A block with its shapes, and its leaves in the order of the walk."""

    name: str
    stage: str
    op: Op
    input: Shape
    output: Shape
    leaves: tuple[Leaf, ...]

    def total(self, quantity: str) -> int:
        """Returns the sum of a quantity of the leaves, such as `params` or `macs`."""
        return sum(getattr(leaf, quantity) for leaf in self.leaves)


@dataclasses.dataclass
class _Shapes:
    """The reading whose values are shapes; it collects the leaves."""

    leaves: list[Leaf] = dataclasses.field(default_factory=list)

    def width(self, x: Shape) -> int:
        return x[2]

    def leaf(self, name: str, op: Op, x: Shape) -> Shape:
        self.leaves.append(Leaf(name, op, x, output_shape(op, x)))
        return self.leaves[-1].output

    def concat(self, xs: list[Shape]) -> Shape:
        if len({x[:2] for x in xs}) != 1:
            raise ValueError(
                f'branches with outputs {", ".join(map(shape_text, xs))} cannot be '
                'concatenated; give them the same grid'
            )
        return (*xs[0][:2], sum(x[2] for x in xs))

    def add(self, op: Residual, x: Shape, branch: Shape) -> Shape:
        if x != branch:
            same_grid = x[:2] == branch[:2]
            raise ValueError(
                f'a residual branch has the output {shape_text(branch)}, and its trunk '
                f'is {shape_text(x)}; '
                + (
                    'end the branch with ij.expand()'
                    if same_grid
                    else 'keep strides and VALID windows out of the branch'
                )
            )
        return x


def output_shape(op: Op, shape: Shape) -> Shape:
    """Returns the output shape of a leaf.

    Raises:
      TooSmall: a VALID window is larger than the grid.
    """
    match op:
        case Conv() | Pool():
            channels = op.filters if isinstance(op, Conv) else shape[2]
            kernel = window(op, shape)
            return (*_grid(op, kernel, shape), channels)
        case Dense():
            return (1, 1, op.units)
        case Module():
            return op.output(shape)
    return shape


def scale_shape(op: Scale, channels: int) -> tuple[int, ...]:
    """Returns the shape of the learned numbers of `op` for so many channels."""
    return (channels,) if op.per_channel else ()


def window(op: Op, shape: Shape) -> tuple[int, int] | None:
    """Returns the (height, width) of the window of `op` on a grid of this shape.

    The result is None for an op without a window.
    """
    if not isinstance(op, Conv | Pool):
        return None
    if op.kernel is None:
        return shape[:2]
    if op.clip:
        return min(op.kernel[0], shape[0]), min(op.kernel[1], shape[1])
    return op.kernel


def _grid(op, kernel, shape):
    if op.padding == 'SAME':
        return tuple(-(-side // op.stride) for side in shape[:2])
    if kernel[0] > shape[0] or kernel[1] > shape[1]:
        raise TooSmall(f'a window of {kernel[0]}x{kernel[1]} on {shape_text(shape)}')
    return tuple((shape[i] - kernel[i]) // op.stride + 1 for i in (0, 1))


def measure(network: Network) -> tuple[Measured, ...]:
    """Measures every block: the trunk, then `logits`, then `auxiliary` if there is one.

    The result is cached, unless the network holds an object of the user without a hash.

    Raises:
      ValueError: the input is too small for the network, or its parts do not fit
        together.

    >>> from inception_jax.networks import load
    >>> stem, *_ = measure(load('inception_v4'))
    >>> stem.name, stem.output, stem.total('params')
    ('stem', (35, 35, 384), 604864)
    """
    try:
        hash(network)
    except TypeError:
        return _checked_measure(network)
    return _cached_measure(network)


def _checked_measure(network: Network) -> tuple[Measured, ...]:
    try:
        return _measure(network)
    except ValueError as error:
        # A larger input makes windows fit, and nothing else.
        if not isinstance(error, TooSmall):
            raise _misfit(network, error) from error
        raise TooSmall(
            f'input size {network.input_size} is too small for {network.name}; '
            f'use at least {least_input_size(network)}'
        ) from error


_cached_measure = functools.lru_cache(maxsize=256)(_checked_measure)


def _measure(network: Network) -> tuple[Measured, ...]:
    check_network(network)
    shape = (network.input_size, network.input_size, 3)
    blocks, grids = [], {}
    for name, stage, op in trunk(network):
        blocks.append(_measure_block(name, stage, op, shape))
        shape = grids[stage] = blocks[-1].output
    blocks.append(_measure_block('logits', 'logits', head(network), shape))
    if network.auxiliary:
        grid = grids[network.auxiliary.after]
        op = auxiliary_head(network)
        blocks.append(_measure_block('auxiliary', 'auxiliary', op, grid))
    return tuple(blocks)


def _measure_block(name: str, stage: str, op: Op, shape: Shape) -> Measured:
    shapes = _Shapes()
    try:
        output = interpret(op, shape, shapes)
    except ValueError as error:
        kind = TooSmall if isinstance(error, TooSmall) else ValueError
        raise kind(f'in block {name}, {error}') from error
    return Measured(name, stage, op, shape, output, tuple(shapes.leaves))


def check_image_size(network: Network, height: int, width: int) -> None:
    """Raises ValueError unless the network fits images of this size."""
    size = min(max(1, min(height, width)), LARGEST_SIZE)
    try:
        measure(dataclasses.replace(network, input_size=size))
    except TooSmall:
        least = least_input_size(network)
        raise ValueError(
            f'images of {height}x{width} are too small for {network.name}; use at '
            f'least {least}x{least}'
        ) from None


def least_input_size(network: Network) -> int:
    """Returns the least side of a square image for which every window fits its grid.

    Raises:
      ValueError: no side up to `LARGEST_TRIAL` fits: the parts do not fit together.
    """
    for size in range(1, LARGEST_TRIAL + 1):
        trial = dataclasses.replace(network, input_size=size)
        try:
            _measure(trial)
            return size
        except ValueError as error:
            problem = error
    raise _misfit(trial, problem)


def _misfit(network: Network, problem: ValueError) -> ValueError:
    size = network.input_size
    return ValueError(
        f'{network.name} does not fit together with images of {size}x{size}: {problem}'
    )
