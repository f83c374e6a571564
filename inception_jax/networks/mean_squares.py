"""The reading of a network as expected mean squares, at the `he` initial values."""

import math
from typing import NamedTuple

from inception_jax.networks.network import Network, trunk
from inception_jax.networks.ops import (
    Conv,
    Norm,
    Op,
    Pool,
    Relu,
    Residual,
    Shape,
    interpret,
)
from inception_jax.networks.shapes import measure, output_shape, window


class _Square(NamedTuple):
    """The shape of an activation and its expected mean square.

    `start` is the mean square before the first of the consecutive residual sums that
    end here.
    """

    shape: Shape
    mean: float
    start: float


def added_scales(network: Network, *, alpha: float) -> tuple[float, ...]:
    """Returns scales so that each residual sum adds alpha times the start of its stage.

    The scale of a sum is alpha * sqrt(start / branch). `start` is the mean square of
    the trunk before the first of the consecutive sums, and `branch` that of F(x).

    Raises:
      ValueError: the input is too small for the network, or its parts do not fit
        together.
    """
    measure(network)  # checks that the parts fit together
    reading = _Squares(alpha, [])
    # Pixel values have a size of about 1. The first batch norm removes the size.
    x = _Square((network.input_size, network.input_size, 3), 1.0, 1.0)
    for block in trunk(network):
        x = interpret(block.op, x, reading)
    return tuple(reading.scales)


class _Squares(NamedTuple):
    """The reading; it collects the scales of the residual sums.

    Average pools, learned scales, modules of the user and the ReLU of a sum are assumed
    not to change the mean square of their input.
    """

    alpha: float
    scales: list[float]

    def width(self, x: _Square) -> int:
        return x.shape[2]

    def leaf(self, name: str, op: Op, x: _Square) -> _Square:
        mean = _mean_square(op, x)
        return _Square(output_shape(op, x.shape), mean, mean)

    def concat(self, xs: list[_Square]) -> _Square:
        width = sum(x.shape[2] for x in xs)
        mean = sum(x.mean * x.shape[2] for x in xs) / width
        return _Square((*xs[0].shape[:2], width), mean, mean)

    def add(self, op: Residual, x: _Square, branch: _Square) -> _Square:
        self.scales.append(self.alpha * math.sqrt(x.start / branch.mean))
        return x._replace(mean=x.mean + self.alpha**2 * x.start)


def _mean_square(op: Op, x: _Square) -> float:
    match op:
        case Conv(linear=True):
            return 2 * x.mean  # fan_in * mean * Var(w), with Var(w) = 2 / fan_in
        case Pool(kind='max'):
            # The maximum of n independent rectified normals has 5.1 times the mean
            # square for n = 9. In these networks the factor is 3 to 5, because
            # neighbours are correlated.
            return (1 + math.log2(math.prod(window(op, x.shape)))) * x.mean
        case Conv() | Norm(relu=True):
            return 0.5  # a standard normal variable after ReLU
        case Norm():
            return 1.0
        case Relu():
            return x.mean / 2  # half of the mean square lies below 0
    return x.mean
