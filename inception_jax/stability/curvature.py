"""The largest eigenvalue of a Hessian, by Lanczos iterations on the host.

Gradient descent with momentum is stable in a quadratic bowl up to a certain curvature;
training tends to drive the largest one to that edge (arXiv:2103.00065).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh


class Curvature(NamedTuple):
    """The largest eigenvalue found, and how far to trust it.

    `residual` is |Hx - eigenvalue x| for the unit vector x that was found: H has an
    eigenvalue within this distance. `products` counts the products with H. Where the
    iterations did not converge, `eigenvalue` is a lower bound; where H is not finite,
    it and the residual are NaN.
    """

    eigenvalue: float
    residual: float
    products: int
    converged: bool


def largest_curvature(
    product: Callable[[np.ndarray], jax.Array],
    size: int,
    *,
    seed: int,
    tolerance: float,
    max_iterations: int,
) -> Curvature:
    """Returns the largest (not the most negative) eigenvalue of a symmetric matrix.

    Memory on the host is that of some twenty vectors.

    Args:
      product: multiplies a float32 vector [size] by the matrix; `hessian_product`,
        compiled.
      size: the number of rows, at least 2.
      seed: of the first vector.
      tolerance: the relative error of the eigenvalue at which the iterations stop;
        float32 products bear 1e-5 or so.
      max_iterations: restarts of Lanczos with at most twenty products each.
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
            # ARPACK cannot begin with a matrix of zeros: the softmax has saturated.
            return Curvature(0.0, 0.0, products, True)
        value, vector, converged = _top(operator, start, tolerance, max_iterations)
        residual = np.linalg.norm(multiply(vector) - value * vector)
    except _NotFiniteError:
        return Curvature(np.nan, np.nan, products, False)
    return Curvature(float(value), float(residual), products, converged)


def edge_of_stability(learning_rate: float, momentum: float) -> float:
    """Returns the curvature beyond which descent with heavy-ball momentum overshoots.

    RMSProp divides the gradient by its root mean square, and so the curvature: it bears
    as much more as that is above 1. At rate 0 there is no edge: infinity.
    """
    return 2.0 * (1.0 + momentum) / learning_rate if learning_rate else math.inf


def _top(operator, start, tolerance, max_iterations) -> tuple[float, np.ndarray, bool]:
    """Returns the top eigenvalue, its vector, and whether they are within tolerance."""
    options = {'k': 1, 'which': 'LA', 'v0': start, 'maxiter': max_iterations}
    try:
        values, vectors = eigsh(operator, tol=tolerance, **options)
        converged = True
    except ArpackNoConvergence:
        # It keeps what has converged only: nothing. Any tolerance is met at once.
        values, vectors = eigsh(operator, tol=np.inf, **options)
        converged = False
    return values[0], vectors[:, 0], converged


class _NotFiniteError(ArithmeticError):
    """A product is not finite."""
