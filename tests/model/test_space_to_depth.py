"""Grids in tiles: the same convolutions, maxima and batch norms as point by point."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.model import layers, pooling, space_to_depth
from inception_jax.model.block_plan import plan_block
from inception_jax.model.tiling import POINTS, Tiling, tilings
from inception_jax.networks import NETWORKS, avg_pool, chain, concat, conv, max_pool
from inception_jax.networks.shapes import measure

EVEN, ODD = Tiling(2, 0), Tiling(2, 1)


def planned(block, shape):
    return plan_block(block, shape, siblings=True, pool_last=True)


def in_tiles(block, shape):
    """Returns the tiling of each grid of a block that stands in tiles, by its leaf."""
    return {step.name: t for step, t in tilings(planned(block, shape)).items()}


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def tile(x, tiling):
    """Puts the points of [batch, height, width, channels] into tiles, one by one."""
    side, first = tiling
    rows, columns = (-(-(n + first) // side) for n in x.shape[1:3])
    tiles = np.zeros((len(x), rows, columns, side, side, x.shape[3]), x.dtype)
    for i, j in itertools.product(*map(range, x.shape[1:3])):
        (row, a), (column, b) = divmod(i + first, side), divmod(j + first, side)
        tiles[:, row, column, a, b] = x[:, i, j]
    return tiles.reshape(len(x), rows, columns, -1)


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_the_three_narrow_grids_of_every_stem_stand_in_tiles_and_no_others(name):
    stem, *rest = (in_tiles(b.op, b.input) for b in measure(NETWORKS[name]))
    assert stem == {'conv0': ODD, 'conv1': ODD, 'conv2': EVEN}
    assert not any(rest)


@pytest.mark.parametrize(
    ('block', 'expected'),
    [
        (chain(conv(64, 3), conv(128, 3, 2)), {'conv0': ODD}),
        (chain(conv(64, 3), conv(128, 3, 2, 'VALID')), {'conv0': EVEN}),
        (chain(conv(64, 3), max_pool(3, 2, 'VALID')), {'conv0': EVEN}),
        (chain(conv(65, 3), max_pool(3, 2, 'VALID')), {}),  # wide
        (chain(conv(64, 3), conv(128, 3)), {}),  # points cannot be read from tiles
        (chain(conv(64, 3), max_pool(3, 2, 'SAME')), {}),  # its edge is not zero
        (chain(conv(64, 3), avg_pool(3, 2, 'VALID')), {}),
        (chain(conv(64), conv(128, 3, 2)), {}),  # a 1x1 may be part of a product
        (chain(conv(64, 3, linear=True), conv(128, 3, 2)), {}),  # no batch norm
        (conv(64, 3, 2), {}),  # what leaves a block stands as points
        # Two readers whose tiles would begin elsewhere.
        (chain(conv(64, 3), concat(conv(128, 3, 2), max_pool(1, 2, 'VALID'))), {}),
    ],
)
def test_a_grid_stands_in_tiles_only_where_it_is_narrow_and_all_can_read_it(
    block, expected
):
    assert in_tiles(block, (17, 17, 8)) == expected


@pytest.mark.parametrize(
    ('kernel', 'padding'),
    [((3, 3), 'VALID'), ((3, 3), 'SAME'), ((1, 7), 'SAME'), ((2, 5), 'VALID')],
)
@pytest.mark.parametrize(
    ('stride', 'before', 'after'),
    [
        (stride, *tilings)
        for stride in (1, 2)
        for tilings in itertools.product([POINTS, EVEN, ODD], repeat=2)
        # Else the kernel would not be the same at every point.
        if stride * tilings[1].side % tilings[0].side == 0
    ],
)
def test_a_convolution_between_tiles_is_that_of_their_points(
    stride, padding, kernel, before, after
):
    # On a grid not much larger than such a kernel XLA dies of the derivative.
    x, numbers = normal(2, 12, 21, 3), normal(*kernel, 3, 5)
    step = planned(conv(5, kernel, stride, padding), x.shape[1:]).output

    def in_tiles(x, numbers):
        y = space_to_depth.convolve_tiled(x, numbers, step, before, after)
        return space_to_depth.inside_grid(y, step, after)

    expected, back = jax.vjp(
        lambda *parts: layers.convolve(*parts, stride, padding), x, numbers
    )
    tiled, back_to_tiles = jax.vjp(in_tiles, tile(x, before), numbers)
    gradient = normal(*expected.shape)
    of_x, of_kernel = back(gradient)
    of_tiles, of_tiled_kernel = back_to_tiles(tile(gradient, after))
    pairs = [
        (tiled, tile(np.asarray(expected), after)),
        # Nothing reads the values outside the grid.
        (of_tiles * tile(np.ones_like(x), before), tile(np.asarray(of_x), before)),
        (of_tiled_kernel, of_kernel),
    ]
    for actual, expected in pairs:
        chex.assert_trees_all_close(actual, expected, atol=1e-4)


@pytest.mark.parametrize('window', [(3, 3), (2, 2), (1, 4), (5, 2)])
@pytest.mark.parametrize('size', [(8, 11), (7, 6)])
def test_maxima_of_tiles_and_their_gradient_are_those_of_points(size, window):
    def of_points(x):
        return pooling.max_pool_windows(x, window, 2, 'VALID')

    x = normal(2, *size, 3)
    shape = of_points(x).shape[1:3]

    def of_tiles(x):
        return space_to_depth.max_pool_tiled(x, window, shape)

    for values in (x, np.maximum(np.round(x), 0)):  # without and with equal ones
        expected, back = jax.vjp(of_points, values)
        tiled, back_to_tiles = jax.vjp(of_tiles, tile(values, EVEN))
        chex.assert_trees_all_equal(tiled, expected)
        gradient = normal(*expected.shape)
        (expected,), (tiled,) = back(gradient), back_to_tiles(gradient)
        chex.assert_trees_all_close(tiled, tile(np.asarray(expected), EVEN), atol=1e-6)


@pytest.mark.parametrize('tiling', [EVEN, ODD])
def test_batch_norm_of_tiles_is_that_of_their_points(tiling):
    x, gamma, bias = 3 + normal(2, 8, 11, 5), 1 + normal(5) / 9, normal(5)
    step = planned(conv(5, 3), (8, 11, 5)).output

    def normalised(x, gamma, bias):
        return layers.normalised(True, None, 1e-3, 88, x, gamma, bias)

    def in_tiles(x, gamma, bias):
        y, moments = normalised(
            space_to_depth.inside_grid(x, step, tiling), gamma, bias
        )
        return space_to_depth.inside_grid(y, step, tiling), moments

    (expected, moments), back = jax.vjp(normalised, x, gamma, bias)
    # Values outside the grid must not matter.
    outside = np.where(tile(np.ones_like(x), tiling) > 0, tile(x, tiling), 7.0)
    (tiled, tiled_moments), back_to_tiles = jax.vjp(in_tiles, outside, gamma, bias)
    none = jax.tree.map(jnp.zeros_like, moments)
    gradient = normal(*expected.shape)
    of_points, *of_parameters = back((gradient, none))
    of_tiles, *of_tiled_parameters = back_to_tiles((tile(gradient, tiling), none))
    pairs = [
        (tiled, tile(np.asarray(expected), tiling)),
        (tiled_moments, moments),
        (of_tiles, tile(np.asarray(of_points), tiling)),
        (of_tiled_parameters, of_parameters),
    ]
    for actual, expected in pairs:
        chex.assert_trees_all_close(actual, expected, rtol=1e-5, atol=1e-5)
