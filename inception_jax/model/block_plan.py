"""What of a block can be computed together: the block as a list of values to compute.

1x1 convolutions on one input are one product whose columns are theirs. An average
before a 1x1 can be taken behind it: both are linear, and the pool then has fewer
channels, and the 1x1 joins those beside it.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from inception_jax.networks.ops import (
    Conv,
    Op,
    Pool,
    Residual,
    Shape,
    interpret,
)
from inception_jax.networks.shapes import output_shape


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """What `op` makes of its inputs: a leaf called `name`, or a residual sum of trunk
    and branch. Without an op it is a concatenation, or the input of the block.
    """

    op: Op | None
    inputs: tuple['Value', ...]
    shape: Shape
    name: str = ''


class Product(NamedTuple):
    """1x1 convolutions on one input, computed as one.

    `pools` are the averages to be taken behind it: one for each, or None.
    """

    inputs: tuple[Value]
    members: tuple[Value, ...]
    pools: tuple[Pool | None, ...]


@dataclasses.dataclass
class _Values:
    """The reading: it keeps the values in the order of the walk."""

    found: list[Value] = dataclasses.field(default_factory=list)

    def width(self, x: Value) -> int:
        return x.shape[2]

    def leaf(self, name: str, op: Op, x: Value) -> Value:
        return self._keep(Value(op, (x,), output_shape(op, x.shape), name))

    def concat(self, xs: list[Value]) -> Value:
        width = sum(x.shape[2] for x in xs)
        return self._keep(Value(None, tuple(xs), (*xs[0].shape[:2], width)))

    def add(self, op: Residual, x: Value, branch: Value) -> Value:
        return self._keep(Value(op, (x, branch), x.shape))

    def _keep(self, value: Value) -> Value:
        self.found.append(value)
        return value


class Plan(NamedTuple):
    """A block as what to compute, in this order, from `input` to `output`."""

    input: Value
    steps: tuple[Value | Product, ...]
    output: Value


@functools.cache
def plan_block(op: Op, shape: Shape, *, siblings: bool, pool_last: bool) -> Plan:
    """Returns what to compute for a block on an input of `shape`.

    With `siblings` 1x1 convolutions on one input are together, with `pool_last` an
    average behind the 1x1 that follows it where that makes it narrower.
    """
    first, reading = Value(None, (), shape), _Values()
    last = interpret(op, first, reading)
    values = reading.found
    pools = _pools_that_can_wait(values) if pool_last else {}
    steps: dict[Any, Value | Product] = {}
    for value in values:
        if value in pools.values():
            continue
        if not is_pointwise(value.op):
            steps[value] = value
            continue
        pool = pools.get(value)
        (source,) = pool.inputs if pool else value.inputs
        # A place of its own, or that of the first on the same input.
        place = ('on', source) if siblings else value
        before = steps.get(place, Product((source,), (), ()))
        steps[place] = Product(
            (source,),
            (*before.members, value),
            (*before.pools, pool.op if pool else None),
        )
    return Plan(first, tuple(steps.values()), last)


def is_pointwise(op: Op | None) -> bool:
    """Tells whether an op is a 1x1 convolution that keeps the grid."""
    return isinstance(op, Conv) and op.kernel == (1, 1) and op.stride == 1


def is_moving_average(op: Op | None) -> bool:
    """Tells whether an op averages over windows around every point of the grid."""
    return (
        isinstance(op, Pool)
        and op.kind == 'avg'
        and op.kernel is not None
        and op.stride == 1
    )


def _pools_that_can_wait(values: Sequence[Value]) -> dict[Value, Value]:
    """Returns the averages that may be taken behind a 1x1, by that convolution."""
    users = Counter(x for value in values for x in value.inputs)
    return {
        value: value.inputs[0]
        for value in values
        if is_pointwise(value.op)
        and is_moving_average(value.inputs[0].op)
        and users[value.inputs[0]] == 1
        and value.shape[2] < value.inputs[0].shape[2]
    }
