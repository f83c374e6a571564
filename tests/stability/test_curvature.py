"""The largest eigenvalue, against those of matrices and of a dense Hessian."""

import numpy as np
import pytest
from helpers.probes import HPARAMS, SCALES, compiled, dense_hessian, examples, start

from inception_jax.stability.curvature import (
    Curvature,
    edge_of_stability,
    largest_curvature,
)
from inception_jax.stability.probes import hessian_product

OPTIONS = {'seed': 0, 'tolerance': 1e-5, 'max_iterations': 100}
PRODUCT = compiled(hessian_product)


def matrix(eigenvalues):
    size = len(eigenvalues)
    normal = np.random.default_rng(0).standard_normal((size, size))
    basis, _ = np.linalg.qr(normal)
    return (basis * eigenvalues @ basis.T).astype(np.float32)


def largest(matrix, **options):
    return largest_curvature(
        lambda vector: matrix @ vector, len(matrix), **(OPTIONS | options)
    )


def curvature(variables, **options):
    arguments = (variables, SCALES, *examples(), HPARAMS)
    return largest_curvature(
        lambda vector: PRODUCT(vector, *arguments), 224, **(OPTIONS | options)
    )


def test_the_largest_curvature_is_that_of_the_dense_hessian():
    expected = np.linalg.eigvalsh(dense_hessian().astype(np.float64))[-1]
    estimate = curvature(start())
    assert estimate.converged
    np.testing.assert_allclose(estimate.eigenvalue, expected, rtol=1e-4)
    assert estimate.residual < 1e-4 * expected
    assert 20 < estimate.products < 200
    assert estimate == curvature(start())
    np.testing.assert_allclose(
        curvature(start(), seed=1).eigenvalue, estimate.eigenvalue, rtol=1e-4
    )


def test_a_negative_eigenvalue_of_greater_size_is_not_the_largest():
    estimate = largest(matrix(np.linspace(-3, 2, 300)))
    np.testing.assert_allclose(estimate.eigenvalue, 2, rtol=1e-5)


def test_an_unconverged_estimate_is_marked_and_is_a_lower_bound():
    estimate = largest(matrix(np.linspace(0, 1, 1000)), max_iterations=1)
    assert not estimate.converged
    assert 0.9 < estimate.eigenvalue < 1
    assert 1 - estimate.eigenvalue <= estimate.residual < 0.1


def test_residual_is_the_distance_that_the_tolerance_asks_for():
    for tolerance in (1e-1, 1e-2, 1e-4):
        estimate = largest(matrix(np.linspace(0, 1, 1000)), tolerance=tolerance)
        assert estimate.converged
        assert estimate.residual <= tolerance


@pytest.mark.parametrize('size', [2, 3, 30])
def test_small_matrices_and_those_of_low_rank_are_no_exception(size):
    eigenvalues = np.zeros(size)
    eigenvalues[0] = 5
    estimate = largest(matrix(eigenvalues))
    assert estimate.converged
    np.testing.assert_allclose(estimate.eigenvalue, 5, rtol=1e-5)


def test_a_matrix_of_zeros_has_no_curvature():
    flat = largest(np.zeros((30, 30), np.float32))
    assert flat == Curvature(0.0, 0.0, 1, True)


def test_a_curvature_that_is_not_finite_is_a_result():
    estimate = largest(np.full((30, 30), np.nan, np.float32))
    assert np.isnan([estimate.eigenvalue, estimate.residual]).all()
    assert (estimate.products, estimate.converged) == (1, False)


def test_a_dead_network_has_the_curvature_of_its_last_bias():
    dead = start()
    for block in ('stem', 'a_1', 'a_2'):
        for leaf in dead['params'][block].values():
            leaf.get('bn', leaf)['bias'] -= 1000
    estimate = curvature(dead)
    bias = dead['params']['logits']['dense0']['bias']
    shares = np.exp(bias) / np.exp(bias).sum()
    expected = np.linalg.eigvalsh(np.diag(shares) - np.outer(shares, shares))[-1]
    assert estimate.converged
    np.testing.assert_allclose(estimate.eigenvalue, expected, rtol=1e-5)


def test_descent_with_momentum_diverges_beyond_the_edge_of_stability():
    for share, stays in ((0.99, True), (1.01, False)):
        curvature, x, velocity = share * edge_of_stability(0.1, 0.9), 1.0, 0.0
        for _ in range(4000):
            velocity = 0.9 * velocity - 0.1 * curvature * x
            x += velocity
        assert (abs(x) < 1) == stays
