"""Probes of a network at a checkpoint: the loss around it, Jacobians of its blocks.

All are as in training, with the statistics of the batch at hand, but without dropout.
The loss is `losses.objective`, averaged over the batch; it has no L2 term. Classifiers
should be in float32: rounding to bfloat16 drowns the smaller derivatives.

Arguments that several functions share:
  variables: `params` and `batch_stats` of the classifier.
  residual_scale: one number, or one per residual block from the image on.
  images: [batch, height, width, 3] in the network's pixel range.
  labels: [batch] integers.
  hparams: only `label_smoothing` and `auxiliary_weight` are read.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from inception_jax.model.classifier import Classifier, Outputs, apply_trunk_block
from inception_jax.networks.network import Network, residual_scales, trunk
from inception_jax.networks.ops import residuals
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.losses import cross_entropy, objective
from inception_jax.steps.metrics import activity, dead_channels

Variables = dict[str, Any]


class Gains(NamedTuple):
    """Gains of every block of the trunk, [blocks].

    `block` is that of the whole block; `branch` that of the map from the block's input
    to F(x) before the scale, of the last residual sum, and NaN where there is none.
    """

    block: jax.Array
    branch: jax.Array


def scale_gradient(
    variables: Variables,
    residual_scale: jax.Array | float,
    images: jax.Array,
    labels: jax.Array,
    hparams: Hparams,
    *,
    classifier: Classifier,
) -> jax.Array:
    """Returns dLoss/dScale of every residual block, [residual blocks]."""

    def at(scales):
        return _loss(variables, scales, images, labels, hparams, classifier)[0]

    return jax.grad(at)(_per_sum(residual_scale, classifier.network))


def loss_at_scales(
    variables: Variables,
    scales: jax.Array,
    images: jax.Array,
    labels: jax.Array,
    hparams: Hparams,
    *,
    classifier: Classifier,
) -> dict[str, jax.Array]:
    """Returns the loss at each of several residual scales, one after another.

    Args:
      scales: [scales], each for all blocks; or [scales, residual blocks], as in
        `jnp.outer(factors, residual_scale)`.

    Returns:
      `loss`, `cross_entropy` without smoothing, and the share `dead_channels` of the
      last grid, [scales].
    """

    def at(scale):
        loss, outputs = _loss(variables, scale, images, labels, hparams, classifier)
        return {
            'loss': loss,
            'cross_entropy': cross_entropy(outputs.logits, labels, 0.0).mean(),
            'dead_channels': dead_channels(activity(outputs.features)),
        }

    return jax.lax.map(at, scales)


def jacobian_gain(
    variables: Variables,
    residual_scale: jax.Array | float,
    images: jax.Array,
    key: jax.Array,
    *,
    classifier: Classifier,
    samples: int,
) -> Gains:
    """Estimates by how much each block of the trunk stretches a random perturbation.

    The gain is sqrt(E |Jv|^2 / E |v|^2), which is the Frobenius norm of J over the root
    of its number of columns. J is the Jacobian of the block's output for the whole
    batch in its input, so it has the dependence of the batch statistics on the input.
    The entries of v are 1 or -1; each block has `samples` draws of its own.
    """
    network = classifier.network
    scales = iter(_per_sum(residual_scale, network))
    x, gains = images.astype(classifier.dtype), []
    for number, block in enumerate(trunk(network)):
        here = [next(scales) for _ in residuals(block.op)]

        def run(x, block=block, here=here):
            output, left = apply_trunk_block(classifier, variables, block, x, here)
            return output, left.get('branch', ())[-1:]

        (output, _), jvp = jax.linearize(run, x)
        keys = jax.random.split(jax.random.fold_in(key, number), samples)
        gain, branch = _root_mean_square_gain(jvp, x, keys)
        gains.append(Gains(gain, *(branch or [jnp.array(jnp.nan, jnp.float32)])))
        x = output
    return jax.tree.map(lambda *blocks: jnp.stack(blocks), *gains)


def hessian_product(
    vector: jax.Array,
    variables: Variables,
    residual_scale: jax.Array | float,
    images: jax.Array,
    labels: jax.Array,
    hparams: Hparams,
    *,
    classifier: Classifier,
) -> jax.Array:
    """Returns the Hessian of the loss in the parameters times a vector, [parameters].

    Args:
      vector: [parameters], in the order of `jax.flatten_util.ravel_pytree`.
    """
    _, unravel = ravel_pytree(variables['params'])

    def loss(params):
        at = variables | {'params': params}
        return _loss(at, residual_scale, images, labels, hparams, classifier)[0]

    gradient, params = jax.grad(loss), variables['params']
    _, product = jax.jvp(gradient, (params,), (unravel(vector),))
    return ravel_pytree(product)[0]


def _loss(
    variables, residual_scale, images, labels, hparams, classifier
) -> tuple[jax.Array, Outputs]:
    outputs, _ = classifier.apply(
        variables,
        images,
        train=True,
        residual_scale=residual_scale,
        mutable=['batch_stats'],
    )
    return objective(outputs, labels, hparams).mean(), outputs


def _per_sum(residual_scale: jax.Array | float, network: Network) -> jax.Array:
    """Returns a scale for every residual sum of a network."""
    scale = jnp.asarray(residual_scale, jnp.float32)
    return jnp.broadcast_to(scale, len(residual_scales(network)))


def _root_mean_square_gain(
    jvp: Callable[[jax.Array], Any], x: jax.Array, keys: jax.Array
) -> Any:
    """Returns the gain of each result of a linear map on arrays like x."""

    def squares(key):
        # Of all v with independent entries, signs give the estimate that varies least.
        images = jvp(jax.random.rademacher(key, x.shape, x.dtype))
        return jax.tree.map(
            lambda y: jnp.sum(jnp.square(y.astype(jnp.float32))) / x.size, images
        )

    return jax.tree.map(
        lambda draws: jnp.sqrt(draws.mean()), jax.lax.map(squares, keys)
    )
