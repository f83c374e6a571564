"""Errors and signs of life, as arrays."""

import jax
import jax.numpy as jnp


def outside_top(k: int, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Tells for which examples the label is not among the `k` greatest logits.

    A tie counts against the label, and so does a logit that is not a number, so a dead
    or diverged network cannot score by chance.

    Args:
      logits: [batch, classes].
      labels: [batch] integers.

    Returns:
      [batch] booleans.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=-1)
    not_below = jnp.sum(~(logits < own), axis=-1)
    return (not_below > k) | ~jnp.isfinite(own[:, 0])


def percent(wrong: jax.Array) -> jax.Array:
    """Returns the share of true values, in percent."""
    return 100.0 * jnp.mean(wrong.astype(jnp.float32))


def activity(features: jax.Array) -> dict[str, jax.Array]:
    """Returns what is zero in a grid, in numbers whose mean over equal parts of a batch
    are those of the batch: the share of `zeros`, and by channel, 1 where it is silent.

    Args:
      features: [batch, height, width, channels] or [batch, channels].
    """
    zero = features == 0
    silent = jnp.all(zero, axis=tuple(range(features.ndim - 1)))
    return {
        'zeros': jnp.mean(zero.astype(jnp.float32)),
        'silent': silent.astype(jnp.float32),
    }


def zero_share(seen: dict[str, jax.Array]) -> jax.Array:
    """Returns the share of exact zeros in a grid; 1 is the death of section 3.3.

    It is 1 only if all are zero: the mean of very many values would round to it.
    """
    dead = jnp.all(seen['silent'] == 1)
    return jnp.where(dead, 1.0, jnp.minimum(seen['zeros'], 1.0 - 1e-6))


def dead_channels(seen: dict[str, jax.Array]) -> jax.Array:
    """Returns the share of the channels that are zero for the whole batch."""
    return jnp.mean((seen['silent'] == 1).astype(jnp.float32))
