"""The plan of a block for fast execution: the values to compute, in order.

The plan makes two changes to a block. It joins 1x1 convolutions on the same input into
one product, with their kernels side by side. Linear convolutions and convolutions with
batch norm are joined separately. It also moves an average pool behind the 1x1
convolution that follows the pool. Both ops are linear, so the result is the same, but
the pool then has fewer channels, and the convolution can join others on its input.
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
    """A value that a block computes.

    With an op it is the output of a leaf called `name`, or a residual sum of the inputs
    trunk and branch. Without an op it is a concatenation of its inputs, or, without
    inputs, the input of the block. `shape` is [height, width, channels].
    """

    op: Op | None
    inputs: tuple['Value', ...]
    shape: Shape
    name: str = ''


class Product(NamedTuple):
    """1x1 convolutions on the same input, computed as one product.

    `pools` holds for each member the average pool that follows it, or None.
    """

    inputs: tuple[Value]
    members: tuple[Value, ...]
    pools: tuple[Pool | None, ...]


@dataclasses.dataclass
class _Values:
    """A reading of ops that lists values in the order of the walk (`ops.Reading`)."""

    values: list[Value] = dataclasses.field(default_factory=list)

    def width(self, x: Value) -> int:
        return x.shape[2]

    def leaf(self, name: str, op: Op, x: Value) -> Value:
        return self._append(Value(op, (x,), output_shape(op, x.shape), name))

    def concat(self, xs: list[Value]) -> Value:
        width = sum(x.shape[2] for x in xs)
        return self._append(Value(None, tuple(xs), (*xs[0].shape[:2], width)))

    def add(self, op: Residual, x: Value, branch: Value) -> Value:
        return self._append(Value(op, (x, branch), x.shape))

    def _append(self, value: Value) -> Value:
        self.values.append(value)
        return value


class Plan(NamedTuple):
    """The steps of a block in the order of computation, from `input` to `output`."""

    input: Value
    steps: tuple[Value | Product, ...]
    output: Value


@functools.cache
def plan_block(op: Op, shape: Shape, *, siblings: bool, pool_last: bool) -> Plan:
    """Returns the plan of a block for an input of `shape` [height, width, channels].

    Args:
      siblings: whether to join 1x1 convolutions on the same input.
      pool_last: whether to move an average pool behind the 1x1 convolution that follows
        the pool, if the pool then has fewer channels.
    """
    block_input, reading = Value(None, (), shape), _Values()
    output = interpret(op, block_input, reading)
    values = reading.values
    pools = _movable_pools(values) if pool_last else {}
    steps: dict[Any, Value | Product] = {}
    for value in values:
        if value in pools.values():
            continue
        if not is_pointwise(value.op):
            steps[value] = value
            continue
        pool = pools.get(value)
        (source,) = pool.inputs if pool else value.inputs
        # Linear convolutions have a bias and others have batch norm, so each kind is
        # joined separately. A dict keeps the position of a key, so a product is
        # computed at the position of its first member.
        key = ('on', source, value.op.linear) if siblings else value
        product = steps.get(key, Product((source,), (), ()))
        steps[key] = Product(
            (source,),
            (*product.members, value),
            (*product.pools, pool.op if pool else None),
        )
    return Plan(block_input, tuple(steps.values()), output)


def is_pointwise(op: Op | None) -> bool:
    """Returns whether an op is a 1x1 convolution of stride 1."""
    return isinstance(op, Conv) and op.kernel == (1, 1) and op.stride == 1


def is_moving_average(op: Op | None) -> bool:
    """Returns whether an op is an average pool of stride 1."""
    return (
        isinstance(op, Pool)
        and op.kind == 'avg'
        and op.kernel is not None
        and op.stride == 1
    )


def _movable_pools(values: Sequence[Value]) -> dict[Value, Value]:
    """Maps 1x1 convolutions to the average pools that can move behind them."""
    users = Counter(x for value in values for x in value.inputs)
    return {
        value: value.inputs[0]
        for value in values
        if is_pointwise(value.op)
        and is_moving_average(value.inputs[0].op)
        and users[value.inputs[0]] == 1
        and value.shape[2] < value.inputs[0].shape[2]
    }
