"""The curvature of the logits layer against independent NumPy, and its edge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.stability.logits_layer import (
    edge_ratio,
    largest_curvature_of_logits,
)


def layer(classes, *, images=24, width=40, size=1.0):
    """Returns the features of images and the weights of a layer."""
    random = np.random.default_rng(classes)
    x = np.abs(random.standard_normal((images, width))).astype(np.float32)
    kernel = size * random.standard_normal((width, classes)).astype(np.float32)
    return x, {'kernel': kernel, 'bias': np.zeros(classes, np.float32)}


def by_gram_matrix(x, weights, divisors=None):
    """Returns the eigenvalue by the matrix [images * classes]^2, in float64."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype(np.float64)
    table = np.concatenate([weights['kernel'], weights['bias'][None]]).astype(float)
    logits = x @ table
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    images, classes = p.shape
    if divisors is None:
        divisors = np.ones_like(table)
    rows = []
    for i in range(images):
        # A root of diag p - p p^T.
        root = np.diag(np.sqrt(p[i])) - np.outer(p[i], np.sqrt(p[i]))
        for k in range(classes):
            rows.append((np.outer(x[i], root[:, k]) / np.sqrt(divisors)).ravel())
    rows = np.stack(rows)
    return np.linalg.eigvalsh(rows @ rows.T / images)[-1]


def computed(x, weights, divisors=None, **options):
    ones = jax.tree.map(jnp.ones_like, weights)
    return float(
        largest_curvature_of_logits(
            lambda w: x @ w['kernel'] + w['bias'][None],
            weights,
            ones if divisors is None else divisors,
            **options,
        )
    )


@pytest.mark.parametrize('classes', [2, 10, 100])
@pytest.mark.parametrize('size', [0.0, 0.1])
def test_the_curvature_is_that_of_the_gram_matrix(classes, size):
    x, weights = layer(classes, size=size)
    expected = by_gram_matrix(x, weights)
    assert computed(x, weights) == pytest.approx(expected, rel=2e-3)
    assert computed(x, weights) <= expected * (1 + 1e-5)


def test_the_optimizer_divides_the_curvature():
    x, weights = layer(10, size=0.1)
    random = np.random.default_rng(1)
    divisors = jax.tree.map(
        lambda w: 0.5 + random.random(w.shape).astype(np.float32), weights
    )
    table = np.concatenate([divisors['kernel'], divisors['bias'][None]])
    expected = by_gram_matrix(x, weights, table.astype(np.float64))
    assert computed(x, weights, divisors) == pytest.approx(expected, rel=2e-3)


def test_the_curvature_falls_with_the_number_of_classes():
    """All probabilities are 1 / classes; the largest eigenvalue has this factor."""
    x, weights = layer(10, size=0.0)
    _, more = layer(100, size=0.0)
    assert computed(x, weights) / computed(x, more) == pytest.approx(10, rel=1e-3)


def test_a_saturated_softmax_is_flat():
    x, weights = layer(10, size=1e4)
    assert computed(x, weights) == 0.0


def test_heavy_ball_descent_diverges_above_a_ratio_of_1_only():
    rate, momentum = 0.3, 0.9

    def distance(ratio):
        (curvature,) = (ratio / edge_ratio(1.0, rate, momentum),)
        assert edge_ratio(curvature, rate, momentum) == pytest.approx(ratio)
        x, velocity = 1.0, 0.0
        for _ in range(2000):
            velocity = momentum * velocity + rate * curvature * x
            x -= velocity
        return abs(x)

    assert distance(0.98) < 1e-3
    assert distance(1.02) > 1e3
