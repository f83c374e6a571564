"""The arithmetic of layers on arrays [batch, height, width, channels].

Fast execution uses all of these functions. Plain execution uses `convolve`,
`residual_sum` and `dropout`.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from inception_jax.runtime.random_numbers import pinned_draws

LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def convolve(x, kernel, stride: int, padding: str):
    """Convolves with a kernel [height, width, in, out]."""
    strides = (stride, stride)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=LAYOUT
    )


def matrix_product(x, kernel):
    """Convolves with a kernel [1, 1, in, out], computed as a matrix product."""
    flat = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def residual_sum(x, branch, scale, *, relu: bool):
    """Returns x + scale * branch, with ReLU applied if `relu`, in the dtype of x.

    The sum is computed in float32: rounding the scale to bfloat16 would change the
    experiment.
    """
    total = x.astype(jnp.float32) + scale * branch.astype(jnp.float32)
    total = total.astype(x.dtype)
    return jax.nn.relu(total) if relu else total


def compute_once(x, number):
    """Returns x such that XLA does not recompute it in each loop that reads it.

    XLA recomputes cheap arithmetic, and therefore a whole chain of residual sums, but
    it does not recompute a division. So x is divided by a 1 that XLA cannot simplify
    away, because it is computed from `number`: a scalar, or an array like x. The result
    is NaN where `number` is.
    """
    unit = jnp.where(jnp.isnan(number), number, jnp.ones_like(number))
    return x / lax.stop_gradient(unit).astype(x.dtype)


def dropout(x, keys, rate):
    """Drops a share of the values of each example, and scales up the other values.

    Args:
      x: [batch, ...].
      keys: a key per example, [batch]; None means no dropout.
      rate: the share to drop, from 0 to below 1.
    """
    if keys is None:
        return x
    keep = 1.0 - rate

    def draw(key):
        return jax.random.bernoulli(key, keep, x.shape[1:])

    with pinned_draws():
        kept = jax.vmap(draw)(keys)
    return jnp.where(kept, x / keep, jnp.zeros_like(x))


def per_channel(numbers, x):
    """Reshapes numbers [channels] to broadcast with x.

    The numbers are repeated for each point of a tile if x is tiled (model/tiling.py).
    """
    return jnp.tile(numbers, x.shape[-1] // numbers.size).reshape(1, 1, 1, -1)


def moments(x, channels: int, points: int, axis_name: str | None):
    """Returns mean and variance over batch, height and width, float32 [channels].

    Args:
      channels: the number of channels of a point.
      points: the number of points of an example; see `normalised`.
      axis_name: the mapped axis over which the moments are averaged, or None.
    """
    x = x.astype(jnp.float32)
    mean = _channel_mean(x, channels, points)
    square = _channel_mean(lax.square(x), channels, points)
    if axis_name is not None:
        mean, square = lax.pmean((mean, square), axis_name)
    return mean, jnp.maximum(0.0, square - lax.square(mean))


def _channel_mean(x, channels, points):
    total = x.sum(axis=(0, 1, 2)).reshape(-1, channels).sum(axis=0)
    return total / (len(x) * points)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def normalised(
    relu: bool, axis_name: str | None, epsilon: float, points: int, x, gamma, bias
):
    """Applies batch norm with the moments of x itself, then ReLU if `relu`.

    The backward pass needs only x and the result.

    Args:
      axis_name: the mapped axis over which the moments are averaged, or None.
      points: the number of points of an example. A tiled x (model/tiling.py) has the
        channels of all points of a tile, and zeros at points outside the feature map,
        which do not count.
      gamma, bias: float32 [channels].

    Returns:
      The result, and its moments (mean, variance), which carry no gradient.
    """
    return _normalised(relu, axis_name, epsilon, points, x, gamma, bias)[0]


def affine(x, moments, gamma, bias, *, relu: bool):
    """Applies batch norm with moments (mean, 1 / deviation), then ReLU if `relu`."""
    mean, inverse = moments
    y = (x.astype(jnp.float32) - per_channel(mean, x)) * per_channel(inverse * gamma, x)
    y = y + per_channel(bias, x)
    return (jax.nn.relu(y) if relu else y).astype(x.dtype)


def _normalised(relu, axis_name, epsilon, points, x, gamma, bias):
    mean, var = moments(x, gamma.size, points, axis_name)
    inverse = lax.rsqrt(var + epsilon)
    y = affine(x, (mean, inverse), gamma, bias, relu=relu)
    return (y, (mean, var)), (x, mean, inverse, gamma, y)


def _normalised_gradient(relu, axis_name, epsilon, points, saved, gradients):
    x, mean, inverse, gamma, y = saved
    channel_mean = functools.partial(_channel_mean, channels=gamma.size, points=points)
    gradient = gradients[0].astype(jnp.float32)
    if relu:
        gradient = jnp.where(y > 0, gradient, 0.0)
    x = x.astype(jnp.float32)
    # The mean of gradient * centred x, written without centred x: XLA would keep the
    # centred x of all layers from the forward pass.
    along = channel_mean(gradient)
    across = inverse * (channel_mean(gradient * x) - mean * along)
    examples = len(x) * points
    of_gamma, of_bias = across * examples, along * examples
    if axis_name is not None:
        along, across = lax.pmean((along, across), axis_name)
    centred = (x - per_channel(mean, x)) * per_channel(inverse, x)
    inner = gradient - per_channel(along, x) - centred * per_channel(across, x)
    of_x = (inner * per_channel(inverse * gamma, x)).astype(y.dtype)
    return of_x, of_gamma, of_bias


normalised.defvjp(_normalised, _normalised_gradient)
