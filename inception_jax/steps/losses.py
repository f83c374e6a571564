"""Losses per example."""

import jax
import optax

from inception_jax.model.classifier import Outputs
from inception_jax.steps.hparams import Hparams


def cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: jax.Array | float
) -> jax.Array:
    """Returns the cross-entropy, in nats, with labels smoothed over all classes.

    The target is (1 - smoothing) * onehot + smoothing / classes (arXiv:1512.00567, 7).

    Args:
      logits: [batch, classes].
      labels: [batch] integers.
      smoothing: traced.

    Returns:
      [batch].
    """
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(onehot, smoothing))


def objective(outputs: Outputs, labels: jax.Array, hparams: Hparams) -> jax.Array:
    """Returns the loss of each example, [batch]; the L2 term is the optimizer's."""
    losses = cross_entropy(outputs.logits, labels, hparams.label_smoothing)
    if outputs.auxiliary_logits is None:
        return losses
    auxiliary = cross_entropy(outputs.auxiliary_logits, labels, hparams.label_smoothing)
    return losses + hparams.auxiliary_weight * auxiliary
