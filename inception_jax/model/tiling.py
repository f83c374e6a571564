"""Which grids of a block stand better in tiles: space-to-depth, as a reading of a plan.

A TPU stores 128 channels side by side, so a grid of 32 takes the memory of four. With
2x2 of its points as channels of one it does not. Only what can be read so stands so:
grids between convolutions, up to one or a maximum of stride 2, as in the stems.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from inception_jax.model.block_plan import Plan, Product, Value
from inception_jax.networks.ops import Conv, Pool
from inception_jax.networks.shapes import window

# What a TPU pads channels to.
LANES = 128


class Tiling(NamedTuple):
    """How a grid stands in an array: `side` x `side` of its points as channels of one.

    Point h of an axis is in tile (h + first) // side. A tile at the edge may have
    places without a point of the grid.
    """

    side: int
    first: int


POINTS = Tiling(1, 0)


def tilings(plan: Plan) -> dict[Value, Tiling]:
    """Returns the tiling of each grid of a plan that stands in tiles."""
    readers = defaultdict(list)
    for step in plan.steps:
        for x in step.inputs:
            readers[x].append(step)
    found: dict[Value, Tiling] = {}
    for step in reversed(plan.steps):
        if _is_narrow(step):
            firsts = {f for reader in readers[step] for f in _firsts(reader, found)}
            if len(firsts) == 1 and None not in firsts:
                found[step] = Tiling(2, firsts.pop())
    return found


def pads(step: Value) -> tuple[tuple[int, int], ...]:
    """Returns how many zeros a convolution sees before and behind each axis."""
    op, (source,) = step.op, step.inputs
    if op.padding == 'VALID':
        return (0, 0), (0, 0)
    axes = zip(window(op, source.shape), source.shape[:2], step.shape[:2], strict=True)
    zeros = [max((after - 1) * op.stride + size - n, 0) for size, n, after in axes]
    return tuple((z // 2, z - z // 2) for z in zeros)


def _is_narrow(step: Value | Product) -> bool:
    """Tells whether a step is a convolution with batch norm that lanes lie idle in."""
    if isinstance(step, Product) or not isinstance(step.op, Conv):
        return False
    return not step.op.linear and 2 * step.op.filters <= LANES


def _firsts(reader: Value | Product, found: Mapping[Value, Tiling]) -> set[int | None]:
    """Returns what `first` may be of a grid in tiles of 2x2, None if it cannot be read.

    A kernel between tiles is the smallest where its windows begin with a tile's.
    """
    if isinstance(reader, Product) or not isinstance(reader.op, Conv | Pool):
        return {None}
    op, after = reader.op, found.get(reader, POINTS)
    if op.stride * after.side % 2:
        return {None}
    if isinstance(op, Conv):
        return {(op.stride * after.first + zeros) % 2 for zeros, _ in pads(reader)}
    # Of more points bfloat16, in which their numbers stand, cannot tell all.
    few = math.prod(window(op, reader.inputs[0].shape)) <= 256
    is_maximum = op.kind == 'max' and op.stride == 2 and op.padding == 'VALID'
    return {0 if is_maximum and few else None}
