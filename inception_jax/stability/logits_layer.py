"""The logits layer as a quadratic problem: its curvature, and the edge of stability.

The layer maps the pooled features x of an image to logits. Its loss is the softmax
cross-entropy, so its Gauss-Newton matrix is

    G = mean_i J_i^T (diag p_i - p_i p_i^T) J_i

where J_i is the Jacobian of the logits of image i with respect to the layer's weights
and p_i are its probabilities. The logits are linear in the weights, so G is the exact
Hessian of the layer, whatever the labels and their smoothing are. Its largest
eigenvalue grows with |x|^2 and falls with the number of classes.

An optimizer that divides the gradient by P (RMSProp: the root mean square) descends in
the problem P^-1/2 G P^-1/2. With heavy-ball momentum mu and the rate r it is unstable
in a quadratic bowl if

    edge ratio = r * largest eigenvalue / (2 (1 + mu)) > 1

(arXiv:2103.00065, arXiv:2207.14484).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inception_jax.runtime.random_numbers import pinned_draws, random_key

# Power iterations approach the eigenvalue from below.
ITERATIONS = 50

# Maps the weights of the layer to the logits of a batch.
Head = Callable[[Any], jax.Array]


def largest_curvature_of_logits(
    head: Head,
    weights: Any,
    preconditioner: Any,
    *,
    mean: Callable[[Any], Any] = lambda tree: tree,
    iterations: int = ITERATIONS,
) -> jax.Array:
    """Returns the largest eigenvalue of P^-1/2 G P^-1/2, by power iterations.

    Args:
      head: maps the weights of the logits layer to logits [batch, classes].
      weights: the weights of the logits layer.
      preconditioner: P, positive numbers like the weights.
      mean: averages a tree over devices that have each a part of the batch.
      iterations: the number of products with G.

    Returns:
      A float32 scalar, at most the eigenvalue.

    >>> x = jnp.array([[3.0, 4.0]])
    >>> layer = {'kernel': jnp.zeros((2, 2))}  # p = 1/2: |x|^2 times 1/2
    >>> ones = {'kernel': jnp.ones((2, 2))}
    >>> curvature = largest_curvature_of_logits(lambda w: x @ w['kernel'], layer, ones)
    >>> round(float(curvature), 3)
    12.5
    """
    logits, push = jax.linearize(head, weights)
    pull = jax.linear_transpose(push, weights)
    probabilities = jax.nn.softmax(logits.astype(jnp.float32))
    inverse_root = jax.tree.map(jax.lax.rsqrt, preconditioner)

    def product(vector: Any) -> Any:
        slopes = push(jax.tree.map(jnp.multiply, inverse_root, vector))
        weighted = probabilities * slopes
        weighted -= probabilities * weighted.sum(axis=-1, keepdims=True)
        (pulled,) = pull((weighted / len(logits)).astype(logits.dtype))
        return jax.tree.map(jnp.multiply, inverse_root, mean(pulled))

    def iterate(_, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        vector, _ = carry
        image = product(vector)
        length = optax.tree.norm(image)
        # The eigenvalue is 0 where the softmax has saturated.
        scale = jnp.where(length > 0, 1.0 / jnp.maximum(length, 1e-30), 0.0)
        return optax.tree.scale(scale, image), length

    start = _unit_vector(weights)
    _, eigenvalue = jax.lax.fori_loop(0, iterations, iterate, (start, jnp.zeros(())))
    return eigenvalue


def edge_ratio(
    curvature: jax.Array | float,
    learning_rate: jax.Array | float,
    momentum: jax.Array | float,
) -> jax.Array | float:
    """Returns the curvature over the largest one that the optimizer can descend.

    >>> edge_ratio(14.0, learning_rate=0.5, momentum=0.75)
    2.0
    """
    return learning_rate * curvature / (2.0 * (1.0 + momentum))


def _unit_vector(like: Any) -> Any:
    """Returns a fixed random vector of length 1."""
    with pinned_draws():
        vector = optax.tree.random_like(random_key(0), like, jax.random.normal)
    return optax.tree.scale(1.0 / optax.tree.norm(vector), vector)
