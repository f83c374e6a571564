"""The feature maps of a plan that are stored in tiles of 2x2 points (space-to-depth).

A TPU pads channels to 128, so a feature map of 32 channels takes four times its memory.
The channels of 2x2 points side by side fill these 128. A feature map is tiled only if
every step that reads it can read tiles: feature maps between convolutions, up to a
convolution or max pool of stride 2, as in the stems.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from inception_jax.model.block_plan import Plan, Product, Value
from inception_jax.networks.ops import Conv, Pool
from inception_jax.networks.shapes import window

# The number of channels that a TPU pads to.
LANES = 128


class Tiling(NamedTuple):
    """How a feature map is stored: the channels of `side` x `side` points side by side.

    Point h of an axis is in tile (h + first) // side. A tile at the border may have
    places outside the feature map.
    """

    side: int
    first: int


POINTS = Tiling(1, 0)


def tilings(plan: Plan) -> dict[Value, Tiling]:
    """Returns the tiling of each value of a plan that is stored in tiles."""
    readers = defaultdict(list)
    for step in plan.steps:
        for x in step.inputs:
            readers[x].append(step)
    tiled: dict[Value, Tiling] = {}
    for step in reversed(plan.steps):
        if _is_narrow(step):
            firsts = {f for reader in readers[step] for f in _firsts(reader, tiled)}
            if len(firsts) == 1 and None not in firsts:
                tiled[step] = Tiling(2, firsts.pop())
    return tiled


def pads(step: Value) -> tuple[tuple[int, int], ...]:
    """Returns the zeros that a convolution pads before and after each axis."""
    op, (source,) = step.op, step.inputs
    if op.padding == 'VALID':
        return (0, 0), (0, 0)
    axes = zip(window(op, source.shape), source.shape[:2], step.shape[:2], strict=True)
    zeros = [max((after - 1) * op.stride + size - n, 0) for size, n, after in axes]
    return tuple((z // 2, z - z // 2) for z in zeros)


def _is_narrow(step: Value | Product) -> bool:
    """Returns whether a step is a convolution with channels that a TPU would pad."""
    if isinstance(step, Product) or not isinstance(step.op, Conv):
        return False
    return not step.op.linear and 2 * step.op.filters <= LANES


def _firsts(reader: Value | Product, tiled: Mapping[Value, Tiling]) -> set[int | None]:
    """Returns the `first` that lets a step read its input in tiles of 2x2.

    It is None if the step cannot read tiles. A kernel between tiles is smallest where
    its windows begin at the first point of a tile.
    """
    if isinstance(reader, Product) or not isinstance(reader.op, Conv | Pool):
        return {None}
    op, after = reader.op, tiled.get(reader, POINTS)
    if op.stride * after.side % 2:
        return {None}
    if isinstance(op, Conv):
        return {(op.stride * after.first + zeros) % 2 for zeros, _ in pads(reader)}
    # The gradient of a maximum stores the index of a point, and bfloat16 holds only
    # integers up to 256 exactly.
    few = math.prod(window(op, reader.inputs[0].shape)) <= 256
    is_maximum = op.kind == 'max' and op.stride == 2 and op.padding == 'VALID'
    return {0 if is_maximum and few else None}
