"""The largest eigenvalue of a Hessian, by Lanczos iterations on the host.

Gradient descent with momentum is stable in a quadratic bowl up to a certain curvature;
training tends to drive the largest one to that edge (arXiv:2103.00065).
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh


@dataclasses.dataclass(frozen=True)
class Curvature:
    """An estimate of the largest eigenvalue of H, and its accuracy.

    Attributes:
      eigenvalue: the estimate. It is a lower bound if the iterations did not converge,
        and NaN if a product with H is not finite.
      residual: |Hx - eigenvalue x| for the estimated unit eigenvector x. H has an
        eigenvalue within this distance.
      products: the number of products with H.
      converged: whether the tolerance was reached.
      vector: the unit eigenvector x, [size]; None without an eigenvalue above 0.
    """

    eigenvalue: float
    residual: float
    products: int
    converged: bool
    vector: np.ndarray | None = dataclasses.field(default=None, compare=False)


def largest_curvature(
    product: Callable[[np.ndarray], jax.Array],
    size: int,
    *,
    seed: int,
    tolerance: float,
    max_iterations: int,
) -> Curvature:
    """Returns the largest (not the most negative) eigenvalue of a symmetric matrix.

    It needs host memory for about twenty vectors.

    Args:
      product: multiplies a float32 vector [size] by the matrix; `hessian_product`,
        compiled.
      size: the number of rows, at least 2.
      seed: the seed of the first vector.
      tolerance: the relative error of the eigenvalue at which the iterations stop;
        float32 products allow about 1e-5.
      max_iterations: the number of restarts, of at most twenty products each.

    >>> diagonal = np.array([1, 2, -5], np.float32)
    >>> curvature = largest_curvature(
    ...     lambda x: diagonal * x, 3, seed=0, tolerance=1e-4, max_iterations=10
    ... )
    >>> round(curvature.eigenvalue, 3), curvature.converged
    (2.0, True)
    """
    products = 0

    def multiply(vector: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        result = np.asarray(product(vector.astype(np.float32).reshape(size)))
        if not np.isfinite(result).all():
            raise _NotFiniteError
        return result

    operator = LinearOperator((size, size), matvec=multiply, dtype=np.float32)
    start = np.random.default_rng(seed).standard_normal(size, np.float32)
    try:
        if not multiply(start).any():
            # ARPACK cannot start with a matrix of zeros: the softmax has saturated.
            return Curvature(0.0, 0.0, products, True)
        value, vector, converged = _top(operator, start, tolerance, max_iterations)
        residual = np.linalg.norm(multiply(vector) - value * vector)
    except _NotFiniteError:
        return Curvature(np.nan, np.nan, products, False)
    return Curvature(float(value), float(residual), products, converged, vector)


def edge_of_stability(learning_rate: float, momentum: float) -> float:
    """Returns the curvature beyond which descent with heavy-ball momentum is unstable.

    It is 2 (1 + momentum) / learning_rate, and infinity at rate 0. For an optimizer
    that divides the gradient by P it is the edge of P^-1/2 H P^-1/2.

    >>> edge_of_stability(0.5, 0.75)
    7.0
    """
    return 2.0 * (1.0 + momentum) / learning_rate if learning_rate else math.inf


def _top(operator, start, tolerance, max_iterations) -> tuple[float, np.ndarray, bool]:
    """Returns the top eigenvalue, its vector, and whether the iterations converged."""
    options = {'k': 1, 'which': 'LA', 'v0': start, 'maxiter': max_iterations}
    try:
        values, vectors = eigsh(operator, tol=tolerance, **options)
        converged = True
    except ArpackNoConvergence:
        # The error holds only converged vectors, here none. With an infinite tolerance
        # ARPACK returns the current vector.
        values, vectors = eigsh(operator, tol=np.inf, **options)
        converged = False
    return values[0], vectors[:, 0], converged


class _NotFiniteError(ArithmeticError):
    """A product with the matrix is not finite."""
