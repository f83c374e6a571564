"""Pools of arrays [batch, height, width, channels], in two implementations.

One implementation uses XLA's windows. The other uses elementwise loops over slices,
which are fast on CPUs.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from inception_jax.model import layers
from inception_jax.networks.ops import Pool
from inception_jax.networks.shapes import window


def pool(op: Pool, x):
    """Pools [batch, height, width, channels] with XLA's windows.

    Means are computed in float32. The result has the dtype of x, but a global mean
    stays float32.
    """
    if op.kernel is None:
        return x.astype(jnp.float32).mean(axis=(1, 2), keepdims=True)
    kernel = window(op, x.shape[1:])
    if op.kind == 'max':
        return max_pool_windows(x, kernel, op.stride, op.padding)
    sides, strides = (1, *kernel, 1), (1, op.stride, op.stride, 1)
    add = functools.partial(
        lax.reduce_window,
        init_value=np.float32(0),
        computation=lax.add,
        window_dimensions=sides,
        window_strides=strides,
        padding=op.padding,
    )
    total = add(x.astype(jnp.float32))
    if op.count_padding:
        return (total / float(kernel[0] * kernel[1])).astype(x.dtype)
    inside = np.ones((1, *x.shape[1:3], 1), np.float32)
    return (total / add(inside)).astype(x.dtype)


def max_pool_windows(x, window, stride: int, padding: str):
    """Applies a max pool with XLA's derivative."""
    sides, strides = (1, *window, 1), (1, stride, stride, 1)
    lowest = np.array(-np.inf, x.dtype)
    return lax.reduce_window(x, lowest, lax.max, sides, strides, padding)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def sliced_max_pool(x, window, stride: int, padding: str):
    """Applies a max pool by comparing slices, in the backward pass too.

    As in XLA, the first of equal values in a window, row by row, gets the gradient.
    """
    return _max_pool(x, window, stride, padding)[0]


def _max_pool(x, window, stride, padding):
    padded = _lowest_around(x, _pads(x, window, stride, padding))
    sides = zip(padded.shape[1:3], window, strict=True)
    rows, columns = ((side - w) // stride * stride + 1 for side, w in sides)
    tall = [padded[:, i : i + rows : stride] for i in range(window[0])]
    tall = functools.reduce(jnp.maximum, tall)
    wide = [tall[:, :, j : j + columns : stride] for j in range(window[1])]
    return functools.reduce(jnp.maximum, wide), x


def _max_pool_gradient(window, stride, padding, x, gradient):
    pads = _pads(x, window, stride, padding)
    padded = _lowest_around(x, pads)
    # The number of windows over a point along each axis, and the padded feature map in
    # squares of stride x stride points.
    down, right = (-(-side // stride) for side in window)
    rows, columns = (-(-side // stride) for side in padded.shape[1:3])
    codes = np.arange(down * right * stride**2, dtype=np.float32)
    codes = codes.reshape(down * stride, right * stride)
    where = _first_of_largest(padded, codes, window, stride, gradient.shape)

    def around(grid, value: float):
        """Pads an array of windows with windows outside the feature map."""
        below, after = rows - grid.shape[1], columns - grid.shape[2]
        sides = ((0, 0), (down - 1, below), (right - 1, after), (0, 0))
        whole = jnp.pad(grid, sides, constant_values=value)
        return layers.compute_once(whole, grid[0, 0, 0, 0])

    where, gradient = around(where, -1), around(gradient, 0)
    total = jnp.zeros((), gradient.dtype)
    for i, j in itertools.product(range(down), range(right)):
        # The codes that the points of a square have in the window that begins i squares
        # above it and j squares to its left.
        square = codes[i * stride : (i + 1) * stride, j * stride : (j + 1) * stride]
        first, left = down - 1 - i, right - 1 - j

        def of_window(grid, first=first, left=left):
            part = grid[:, first : first + rows, left : left + columns]
            return part[:, :, None, :, None]

        here = of_window(where) == square.reshape(1, 1, stride, 1, stride, 1)
        total += jnp.where(here, of_window(gradient), jnp.zeros_like(total))
    batch, *_, channels = x.shape
    whole = total.reshape(batch, stride * rows, stride * columns, channels)
    (top, _), (left, _) = pads
    return (whole[:, top : top + x.shape[1], left : left + x.shape[2]],)


sliced_max_pool.defvjp(_max_pool, _max_pool_gradient)


def _pads(x, window, stride, padding):
    return lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), padding)


def _lowest_around(x, pads):
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=-np.inf)


def _first_of_largest(x, codes, window, stride, shape):
    """Returns for every window the code of its first largest point.

    Values are compared with each other, not with the stored maximum: XLA may have
    computed the maximum from values that were rounded differently.
    """
    rows, columns = (stride * (side - 1) + 1 for side in shape[1:3])
    largest = jnp.full(shape, -np.inf, x.dtype)
    where = jnp.zeros(shape, jnp.float32)
    for i, j in itertools.product(*map(range, window)):
        value = x[:, i : i + rows : stride, j : j + columns : stride]
        where = jnp.where(value > largest, codes[i, j], where)
        largest = jnp.maximum(value, largest)
    return where


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def sliced_average(x, window, count_padding: bool):
    """Averages over the window around each point by adding slices, in the backward pass
    too. The sides of the window are odd. See `Pool` for `count_padding`.
    """
    points = _points_around(x, window, count_padding)
    return (_sums_around(x.astype(jnp.float32), window) / points).astype(x.dtype)


def _sliced_average(x, window, count_padding):
    return sliced_average(x, window, count_padding), None


def _sliced_average_gradient(window, count_padding, _, gradient):
    # The windows over a point are the windows around the points in its window.
    each = gradient.astype(jnp.float32)
    each = each / _points_around(gradient, window, count_padding)
    return (_sums_around(each, window).astype(gradient.dtype),)


sliced_average.defvjp(_sliced_average, _sliced_average_gradient)


def _points_around(x, window, count_padding):
    """Returns the number of points in each mean."""
    if count_padding:
        return float(window[0] * window[1])
    return _sums_around(np.ones((1, *x.shape[1:3], 1), np.float32), window)


def _sums_around(x, window):
    sides = ((0, 0), *((size // 2, size // 2) for size in window), (0, 0))
    numpy, (height, width) = np if isinstance(x, np.ndarray) else jnp, x.shape[1:3]
    x = numpy.pad(x, sides)
    places = itertools.product(*map(range, window))
    return sum(x[:, i : i + height, j : j + width] for i, j in places)
