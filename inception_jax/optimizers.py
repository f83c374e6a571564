"""Schedules and optimizers from traced numbers; built inside the step."""

import jax
import jax.numpy as jnp
import optax

from inception_jax.recipe import Hparams, Recipe


def learning_rate(step: jax.Array, hparams: Hparams, schedule: str) -> jax.Array:
    """Returns the rate of the step after `step` updates.

    `exponential` multiplies by `decay_rate` once every `decay_epochs`, as a staircase
    (section 4: 0.94 every two epochs); `cosine` falls to 0 at `epochs`. The rate rises
    linearly over `warmup_epochs` first, as a factor on either.
    """
    epoch = step.astype(jnp.float32) / hparams.steps_per_epoch
    match schedule:
        case 'exponential':
            periods = jnp.floor(epoch / hparams.decay_epochs)
            decay = hparams.decay_rate**periods
        case 'cosine':
            done = jnp.clip(epoch / hparams.epochs, 0.0, 1.0)
            decay = 0.5 * (1.0 + jnp.cos(jnp.pi * done))
        case 'constant':
            decay = jnp.ones_like(epoch)
        case _:
            raise ValueError(f'unknown schedule {schedule!r}')
    warm = (step + 1).astype(jnp.float32) / hparams.steps_per_epoch
    warmup = jnp.minimum(1.0, warm / jnp.maximum(hparams.warmup_epochs, 1e-12))
    return hparams.learning_rate * decay * warmup


def optimizer(
    hparams: Hparams, recipe: Recipe, learning_rate: jax.Array | float
) -> optax.GradientTransformation:
    """Returns the optimizer of TensorFlow 1 that the recipe names.

    The L2 term enters the gradient, since it is part of the authors' loss, then the
    norm is clipped where the recipe says so. RMSProp has its epsilon inside the root,
    starts its accumulator at 1 and keeps the learning rate inside the momentum buffer
    (tensorflow/core/kernels/training_ops.cc).
    """
    parts = [optax.add_decayed_weights(hparams.weight_decay, mask=kernels)]
    if recipe.clip:
        parts.append(optax.clip_by_global_norm(hparams.clip_norm))
    if recipe.optimizer == 'rmsprop':
        update = optax.rmsprop(
            learning_rate,
            decay=hparams.rms_decay,
            eps=hparams.rms_epsilon,
            initial_scale=1.0,
            eps_in_sqrt=True,
            momentum=hparams.momentum,
        )
    else:
        update = optax.sgd(learning_rate, momentum=hparams.momentum)
    return optax.chain(*parts, update)


def kernels(params) -> dict:
    """Marks the kernels among parameters: those that weight decay acts on."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key == 'kernel', params
    )


def ema_decay(step: jax.Array, hparams: Hparams) -> jax.Array:
    """Returns the decay of the averages after `step` updates, smaller at the start.

    TensorFlow 1, ExponentialMovingAverage with num_updates.
    """
    step = step.astype(jnp.float32)
    return jnp.minimum(hparams.ema_decay, (1.0 + step) / (10.0 + step))
