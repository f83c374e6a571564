"""Convolutions and max pools of feature maps in tiles (model/tiling.py).

Arrays are [batch, rows of tiles, columns of tiles, side * side * channels]: the points
of a tile row by row, each with its channels.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from inception_jax.model.block_plan import Value
from inception_jax.model.layers import LAYOUT
from inception_jax.model.tiling import Tiling, pads


def convolve_tiled(x, kernel, step: Value, before: Tiling, after: Tiling):
    """Convolves a tiled feature map with a kernel [height, width, in, out]."""
    stride = step.op.stride * after.side // before.side
    places, zeros = [], []
    for axis, (zeros_before, _) in enumerate(pads(step)):
        size = kernel.shape[axis]
        place, begin = _placement(size, step.op.stride, zeros_before, before, after)
        tiles = -(-(step.shape[axis] + after.first) // after.side)
        end = begin + (tiles - 1) * stride + place.shape[0]
        places.append(jnp.asarray(place, kernel.dtype))
        zeros.append((-begin, end - x.shape[1 + axis]))
    # The placements are ones and zeros, so this only moves numbers: it must not round.
    between = jnp.einsum(
        'hbpa,wdqc,pqio->hwbdiaco', *places, kernel, precision=lax.Precision.HIGHEST
    )
    height, width = between.shape[:2]
    channels = x.shape[-1], after.side**2 * kernel.shape[-1]
    return lax.conv_general_dilated(
        x,
        between.reshape(height, width, *channels),
        (stride, stride),
        zeros,
        dimension_numbers=LAYOUT,
    )


def _placement(size: int, stride: int, zeros: int, before: Tiling, after: Tiling):
    """Maps one axis of a kernel between points to a kernel between tiles.

    Args:
      size: the size of the window along this axis.
      zeros: the number of zeros that the convolution pads before the axis.

    Returns:
      Ones and zeros [tiles, place in an input tile, size, place in an output tile], and
      the first tile of the window, relative to the output tile's number times the
      stride of tiles.
    """
    start = before.first - stride * after.first - zeros
    last = start + stride * (after.side - 1) + size - 1
    begin, end = start // before.side, last // before.side + 1
    placement = np.zeros((end - begin, before.side, size, after.side), np.float32)
    for i in range(size):
        for behind in range(after.side):
            tile, place = divmod(start + stride * behind + i, before.side)
            placement[tile - begin, place, i, behind] = 1
    return placement, begin


def inside_grid(x, step: Value, tiling: Tiling):
    """Sets the places of border tiles that are outside the feature map to zero."""
    rows, columns = (
        np.arange(tiles * tiling.side).reshape(tiles, tiling.side) - tiling.first
        for tiles in x.shape[1:3]
    )
    rows = (rows >= 0) & (rows < step.shape[0])
    columns = (columns >= 0) & (columns < step.shape[1])
    shape = (x.shape[1], x.shape[2], tiling.side, tiling.side, step.shape[2])
    rows = np.broadcast_to(rows[:, None, :, None, None], (shape[0], 1, *shape[2:]))
    columns = np.broadcast_to(columns[:, None, :, None], (1, *shape[1:]))
    inside = rows.reshape(1, shape[0], 1, -1) & columns.reshape(1, 1, shape[1], -1)
    return jnp.where(inside, x, jnp.zeros_like(x))


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool_tiled(x, window: tuple[int, int], shape: tuple[int, int]):
    """Applies a max pool of stride 2 with windows that begin at tiles of 2x2 points.

    As in XLA, the first of equal values in a window, row by row, gets the gradient.

    Args:
      window: height and width in points.
      shape: height and width of the output.
    """
    return _max_pool(x, window, shape)[0]


def _max_pool(x, window, shape):
    points = itertools.product(*map(range, window))
    return functools.reduce(
        jnp.maximum, (_point(x, point, shape) for point in points)
    ), x


def _max_pool_gradient(window, shape, x, gradient):
    where, largest = jnp.zeros_like(gradient), jnp.full_like(gradient, -np.inf)
    for code, point in enumerate(itertools.product(*map(range, window))):
        value = _point(x, point, shape)
        where = jnp.where(value > largest, jnp.asarray(code, where.dtype), where)
        largest = jnp.maximum(value, largest)
    # Pad with the windows that would begin before and after the feature map.
    reach = [-(-size // 2) - 1 for size in window]
    sides = [
        (before, tiles - size)
        for before, tiles, size in zip(reach, x.shape[1:3], shape, strict=True)
    ]
    sides = ((0, 0), *sides, (0, 0))
    where = jnp.pad(where, sides, constant_values=-1)
    gradient = jnp.pad(gradient, sides)

    def of_window(grid, i: int, j: int):
        """Returns, by tile, the window that has the tile i-th down and j-th right."""
        top, left = reach[0] - i, reach[1] - j
        return grid[:, top : top + x.shape[1], left : left + x.shape[2]]

    def of_place(row: int, column: int):
        """Returns the gradient of the points at one place of the tiles."""
        total = jnp.zeros_like(of_window(gradient, 0, 0))
        for i in range(row, window[0], 2):
            for j in range(column, window[1], 2):
                here = of_window(where, i // 2, j // 2) == i * window[1] + j
                part = of_window(gradient, i // 2, j // 2)
                total += jnp.where(here, part, jnp.zeros_like(total))
        return total

    places = itertools.product(range(2), range(2))
    return (jnp.concatenate([of_place(*place) for place in places], axis=-1),)


max_pool_tiled.defvjp(_max_pool, _max_pool_gradient)


def _point(x, point, shape):
    """Returns one point of every window, [batch, height, width, channels]."""
    (row, column), channels = point, x.shape[-1] // 4
    place = (row % 2 * 2 + column % 2) * channels
    return x[
        :,
        row // 2 : row // 2 + shape[0],
        column // 2 : column // 2 + shape[1],
        place : place + channels,
    ]
