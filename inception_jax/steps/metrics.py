"""Errors and signs of life of a batch, as arrays."""

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Outputs
from inception_jax.steps.losses import cross_entropy


def outside_top(k: int, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Returns whether the label is not among the `k` largest logits, for each example.

    A tie counts against the label, and so does a NaN logit. So a dead or diverged
    network cannot score by chance.

    Args:
      logits: [batch, classes].
      labels: [batch] integers.

    Returns:
      [batch] booleans.

    >>> logits = jnp.array([[0.1, 0.7, 0.2], [0.5, 0.5, 0.0]])
    >>> outside_top(1, logits, jnp.array([1, 0])).tolist()
    [False, True]
    """
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    not_below = jnp.sum(~(logits < label_logits), axis=-1)
    return (not_below > k) | ~jnp.isfinite(label_logits[:, 0])


def percent(wrong: jax.Array) -> jax.Array:
    """Returns the share of true values, in percent."""
    return 100.0 * jnp.mean(wrong.astype(jnp.float32))


def activity(features: jax.Array) -> dict[str, jax.Array]:
    """Returns the share of `zeros`, and `silent`, 1 for each channel that is all zero.

    The mean over equal parts of a batch equals the value of the whole batch for
    `zeros`; for `silent` it is 1 only where a channel is silent in all parts.

    Args:
      features: [batch, height, width, channels] or [batch, channels].
    """
    zero = features == 0
    silent = jnp.all(zero, axis=tuple(range(features.ndim - 1)))
    return {
        'zeros': jnp.mean(zero.astype(jnp.float32)),
        'silent': silent.astype(jnp.float32),
    }


def zero_share(activities: dict[str, jax.Array]) -> jax.Array:
    """Returns the share of exact zeros, from the `activity` of a feature map.

    The share is 1 only if all values are zero, although the mean of very many values
    would round to 1. A share of 1 in the final feature map means that the network has
    died (section 3.3).
    """
    dead = jnp.all(activities['silent'] == 1)
    return jnp.where(dead, 1.0, jnp.minimum(activities['zeros'], 1.0 - 1e-6))


def dead_channels(activities: dict[str, jax.Array]) -> jax.Array:
    """Returns the share of silent channels: zero for the whole batch."""
    return jnp.mean((activities['silent'] == 1).astype(jnp.float32))


def batch_means(outputs: Outputs, batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns the metrics of a batch as means over its examples.

    `activity` describes the final feature map; `signs_of_life` replaces this entry.
    """
    labels = batch['label']
    means = {
        'cross_entropy': cross_entropy(outputs.logits, labels, 0.0).mean(),
        'top_1_error': percent(outside_top(1, outputs.logits, labels)),
        'top_5_error': percent(outside_top(5, outputs.logits, labels)),
        'activity': activity(outputs.features),
    }
    if 'unreadable' in batch:
        means['unreadable'] = batch['unreadable'].astype(jnp.float32).mean()
    return means


def signs_of_life(means: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Replaces `activity` in the means of a batch by `zero_share` and `dead_channels`.

    These two are not linear, so the means must be over the whole batch.
    """
    activities = means['activity']
    others = {name: value for name, value in means.items() if name != 'activity'}
    return others | {
        'zero_share': zero_share(activities),
        'dead_channels': dead_channels(activities),
    }
