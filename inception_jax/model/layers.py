"""The arithmetic of layers on arrays [batch, height, width, channels].

Fast execution is made of it; plain execution shares what needs no second way.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def convolve(x, kernel, stride: int, padding: str):
    """Convolves with a kernel [height, width, in, out]."""
    strides = (stride, stride)
    return lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=LAYOUT
    )


def matrix_product(x, kernel):
    """Convolves with a kernel [1, 1, in, out] as a matrix product."""
    flat = x.reshape(-1, x.shape[-1]) @ kernel[0, 0]
    return flat.reshape(*x.shape[:-1], kernel.shape[-1])


def residual_sum(x, branch, scale, *, relu: bool):
    """Returns x + scale * branch, behind ReLU if asked for, in the dtype of x.

    In float32, for a scale rounded to bfloat16 would be another experiment.
    """
    total = x.astype(jnp.float32) + scale * branch.astype(jnp.float32)
    total = total.astype(x.dtype)
    return jax.nn.relu(total) if relu else total


def compute_once(x, number):
    """Returns x in a way that XLA does not compute again in each loop that reads it.

    XLA repeats cheap arithmetic, and so along a chain of residual sums all of them, but
    no division. So x is divided by a 1 that XLA does not know, for it is made of
    `number`: a scalar, or an array like x. Where that is NaN, so is the result.
    """
    one = jnp.where(jnp.isnan(number), number, jnp.ones_like(number))
    return x / lax.stop_gradient(one).astype(x.dtype)


def dropout(x, keys, rate):
    """Drops a share of the values of each example, [batch, ...], with its own key.

    Nothing is dropped without keys.
    """
    if keys is None:
        return x
    keep = 1.0 - rate

    def draw(key):
        return jax.random.bernoulli(key, keep, x.shape[1:])

    return jnp.where(jax.vmap(draw)(keys), x / keep, jnp.zeros_like(x))


def per_channel(numbers, x):
    """Returns numbers [channels] in the shape of a grid, for each point of a tile."""
    return jnp.tile(numbers, x.shape[-1] // numbers.size).reshape(1, 1, 1, -1)


def moments(x, channels: int, points: int, axis_name: str | None):
    """Returns mean and variance [channels], float32, over batch and grid.

    With `axis_name` they are those of all devices along a mapped axis. See `normalised`
    for the other arguments.
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
    """Batch norm by the moments of x itself, then ReLU.

    Its derivative needs no more than x and the result. `gamma` and `bias` are
    [channels], float32.

    Args:
      points: of the grid of an example. In tiles (networks/tiling.py) x has all
        channels for each place of a tile, and zeros where that is no point of the grid.

    Returns:
      The result, and the moments, mean and variance; no derivative goes through them.
    """
    return _normalised(relu, axis_name, epsilon, points, x, gamma, bias)[0]


def affine(x, moments, gamma, bias, *, relu: bool):
    """Batch norm by given moments, (mean, 1 / deviation), then ReLU."""
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
    # The mean of gradient times centred values, written without them: else XLA would
    # keep those of all layers from the forward pass on.
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
