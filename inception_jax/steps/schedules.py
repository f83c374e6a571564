"""The numbers that change from step to step, as functions of the updates made."""

import jax
import jax.numpy as jnp

from inception_jax.steps.hparams import Hparams


def learning_rate(step: jax.Array, hparams: Hparams, schedule: str) -> jax.Array:
    """Returns the learning rate of the step after `step` updates.

    `exponential` multiplies the rate by `decay_rate` every `decay_epochs`, as a
    staircase (section 4: 0.94 every two epochs). `cosine` falls to 0 at `epochs`.
    During the first `warmup_epochs` a linearly rising factor multiplies the rate, or
    the rate is constant, as in the two phases of He et al. that section 3.3 describes.

    Raises:
      ValueError: there is no such schedule.
    """
    epoch = step.astype(jnp.float32) / hparams.steps_per_epoch
    match schedule:
        case 'exponential':
            # One division, as `boundaries.staircase_epochs` expects.
            period = hparams.steps_per_epoch * hparams.decay_epochs
            periods = jnp.floor(step.astype(jnp.float32) / period)
            decay = hparams.decay_rate**periods
        case 'cosine':
            done = jnp.clip(epoch / hparams.epochs, 0.0, 1.0)
            decay = 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        case 'constant':
            decay = jnp.ones_like(epoch)
        case _:
            raise ValueError(f'unknown schedule {schedule!r}')
    warm = (step + 1).astype(jnp.float32) / hparams.steps_per_epoch
    rising = jnp.minimum(1.0, warm / jnp.maximum(hparams.warmup_epochs, 1e-12))
    rate = hparams.learning_rate * decay
    first = jnp.where(warm <= hparams.warmup_epochs, hparams.warmup_learning_rate, rate)
    return jnp.where(hparams.warmup_learning_rate < 0, rate * rising, first)


def residual_scale(step: jax.Array, hparams: Hparams) -> jax.Array:
    """Returns the scale of each residual block in the step after `step` updates."""
    epoch = (step + 1).astype(jnp.float32) / hparams.steps_per_epoch
    done = jnp.minimum(1.0, epoch / jnp.maximum(hparams.residual_scale_epochs, 1e-12))
    # This form gives exactly the final scale at the end, and at every step if the scale
    # is constant.
    return done * hparams.residual_scale + (1.0 - done) * hparams.residual_scale_start


def ema_decay(step: jax.Array, hparams: Hparams) -> jax.Array:
    """Returns the decay of the EMA weights after `step` updates; it rises at the start.

    The formula is that of ExponentialMovingAverage with num_updates in TensorFlow 1.
    """
    step = step.astype(jnp.float32)
    return jnp.minimum(hparams.ema_decay, (1.0 + step) / (10.0 + step))
