"""The losses of each example."""

import jax
import optax

from inception_jax.model.classifier import Outputs
from inception_jax.steps.hparams import Hparams


def cross_entropy(
    logits: jax.Array, labels: jax.Array, smoothing: jax.Array | float
) -> jax.Array:
    """Returns the cross-entropy of each example, in nats, with smoothed labels.

    The target is (1 - smoothing) * onehot + smoothing / classes (arXiv:1512.00567,
    section 7).

    Args:
      logits: [batch, classes].
      labels: [batch] integers.
      smoothing: from 0 to below 1; traced.

    Returns:
      [batch].

    >>> cross_entropy(jax.numpy.zeros((1, 4)), jax.numpy.array([2]), 0.1).round(4)
    Array([1.3863], dtype=float32)
    """
    onehot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.softmax_cross_entropy(logits, optax.smooth_labels(onehot, smoothing))


def objective(outputs: Outputs, labels: jax.Array, hparams: Hparams) -> jax.Array:
    """Returns the loss of each example, [batch], without the L2 term.

    The optimizer adds the gradient of the L2 term.
    """
    losses = cross_entropy(outputs.logits, labels, hparams.label_smoothing)
    if outputs.auxiliary_logits is None:
        return losses
    auxiliary = cross_entropy(outputs.auxiliary_logits, labels, hparams.label_smoothing)
    return losses + hparams.auxiliary_weight * auxiliary
