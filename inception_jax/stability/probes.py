"""Probes of a network at a checkpoint: derivatives of the loss, Jacobians of blocks.

Probes apply the network as in training, with the statistics of the batch, but without
dropout. The loss is `losses.objective`, averaged over the batch; it has no L2 term. Use
a float32 classifier: rounding to bfloat16 drowns small derivatives.

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
from inception_jax.networks.network import Network, by_block, residual_scales
from inception_jax.runtime.random_numbers import pinned_draws
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.losses import cross_entropy, objective
from inception_jax.steps.metrics import activity, dead_channels

Variables = dict[str, Any]


class Gains(NamedTuple):
    """The gains of every block of the trunk, [blocks].

    Attributes:
      block: the gain from the block's input to its output.
      branch: the gain from the block's input to F(x) before the scale, in the last
        residual sum; NaN for blocks that are not residual.
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
    """Returns d loss / d scale of every residual block, [residual blocks].

    >>> from inception_jax.model.initializers import init
    >>> from inception_jax.networks import conv, network, one, residual, stage
    >>> from inception_jax.steps.hparams import hparams_for
    >>> block = residual(conv(4), conv(4, 3), scale=0.2)
    >>> stem = one('stem', conv(4, 3, 2))
    >>> net = network(
    ...     'tiny', stem, stage('a', 2, block), classes=10, input_size=8
    ... )
    >>> images, labels = jnp.zeros((2, 8, 8, 3)), jnp.array([3, 4])
    >>> hparams = hparams_for(
    ...     net, learning_rate=0.1, decay_rate=1.0, decay_epochs=1.0, momentum=0.9,
    ...     rms_decay=0.9, rms_epsilon=1.0, clip_norm=1.0, weight_decay=0.0,
    ...     label_smoothing=0.1, auxiliary_weight=0.0, ema_decay=0.99, epochs=1.0,
    ...     steps_per_epoch=100.0,
    ... )
    >>> jax.eval_shape(  # jax.jit computes it
    ...     lambda *inputs: scale_gradient(*inputs, classifier=Classifier(net, 0.9)),
    ...     init(net, seed=0), 0.2, images, labels, hparams,
    ... ).shape
    (2,)
    """

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
    """Returns the loss at each of several residual scales, computed one by one.

    Args:
      scales: [scales], each for all blocks; or [scales, residual blocks], as in
        `jnp.outer(factors, residual_scale)`.

    Returns:
      Arrays [scales]: `loss`, `cross_entropy` without label smoothing, and
      `dead_channels`, the share of silent channels in the final feature map.
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
    """Estimates the gain of each block of the trunk for random perturbations.

    The gain is sqrt(E |Jv|^2 / E |v|^2): the Frobenius norm of J over the square root
    of its number of columns. J is the Jacobian of a block's output with respect to its
    input, for the whole batch, and includes the dependence through the batch
    statistics. The entries of v are random signs, 1 or -1.

    Args:
      key: the key of the random perturbations.
      samples: the number of perturbations of each block.

    Returns:
      Gains [blocks], in the order of the trunk.

    >>> from inception_jax.model.initializers import init
    >>> from inception_jax.networks import conv, network, one
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> jax.eval_shape(  # jax.jit computes it
    ...     lambda *inputs: jacobian_gain(
    ...         *inputs, classifier=Classifier(net, 0.9), samples=3
    ...     ),
    ...     init(net, seed=0), 1.0, jnp.zeros((2, 8, 8, 3)), jax.random.key(0),
    ... ).block.shape
    (1,)
    """
    network = classifier.network
    scales = iter(_per_sum(residual_scale, network))
    x, gains = images.astype(classifier.dtype), []
    for number, (block, block_scales) in enumerate(by_block(network, scales)):

        def run(x, block=block, block_scales=block_scales):
            output, intermediates = apply_trunk_block(
                classifier, variables, block, x, block_scales
            )
            return output, intermediates.get('branch', ())[-1:]

        (output, _), jvp = jax.linearize(run, x)
        with pinned_draws():
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
    """Multiplies a vector by the Hessian of the loss with respect to the parameters.

    Args:
      vector: [parameters], in the order of `jax.flatten_util.ravel_pytree`.

    Returns:
      [parameters].
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
    """Returns one scale per residual sum of a network."""
    scale = jnp.asarray(residual_scale, jnp.float32)
    return jnp.broadcast_to(scale, len(residual_scales(network)))


def _root_mean_square_gain(
    jvp: Callable[[jax.Array], Any], x: jax.Array, keys: jax.Array
) -> Any:
    """Returns the gain of each output of a linear map of arrays like x."""

    def squares(key):
        # Among vectors with independent entries, signs have the smallest variance.
        images = jvp(jax.random.rademacher(key, x.shape, x.dtype))
        return jax.tree.map(
            lambda y: jnp.sum(jnp.square(y.astype(jnp.float32))) / x.size, images
        )

    return jax.tree.map(
        lambda draws: jnp.sqrt(draws.mean()), jax.lax.map(squares, keys)
    )
