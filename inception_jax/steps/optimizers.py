"""The optimizers, made of traced numbers inside the step."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe


def optimizer(
    hparams: Hparams, recipe: Recipe, learning_rate: jax.Array | float
) -> optax.GradientTransformation:
    """Returns the optimizer of the recipe, as in TensorFlow 1.

    The L2 term is added to the gradient, since it is part of the authors' loss. Then
    the norm is clipped if `recipe.clip`. RMSProp has its epsilon inside the root,
    starts its mean square at 1 and keeps the learning rate inside the momentum buffer
    (tensorflow/core/kernels/training_ops.cc).

    Args:
      learning_rate: the rate of the next update; traced.

    Returns:
      An optax transformation. Its state does not depend on the learning rate. With g
      the gradient, it computes

        g = clip(g + weight_decay * kernel)
        rmsprop:  s = rms_decay * s + (1 - rms_decay) * g^2
                  m = momentum * m + learning_rate * g / sqrt(s + rms_epsilon)
                  update = -m
        momentum: m = momentum * m + g
                  update = -learning_rate * m

    >>> import jax.numpy as jnp
    >>> import inception_jax as ij
    >>> quickstart = ij.experiment(ij.load_config('configs/quickstart.py'))
    >>> hparams = ij.hparams_for(
    ...     ij.load('inception_v4'), **quickstart.hparams, epochs=1.0,
    ...     steps_per_epoch=1.0,
    ... )
    >>> rmsprop = optimizer(hparams, quickstart.recipe, learning_rate=0.1)
    >>> params = {'stem': {'bias': jnp.zeros(1)}}
    >>> gradients = {'stem': {'bias': jnp.ones(1)}}
    >>> updates, _ = rmsprop.update(gradients, rmsprop.init(params), params)
    >>> round(updates['stem']['bias'].item(), 4)  # -0.1 / sqrt(1 + epsilon of 1)
    -0.0707
    """
    parts = [optax.add_decayed_weights(hparams.weight_decay, mask=kernel_mask)]
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


def decayed_gradients(gradients: Any, params: Any, hparams: Hparams) -> Any:
    """Returns the gradients of the loss with its L2 term, weight_decay / 2 |kernels|^2.

    Args:
      gradients: the gradients of the loss without the term; frozen blocks have none.
    """
    decay = optax.add_decayed_weights(hparams.weight_decay, mask=kernel_mask)
    params = {block: params[block] for block in gradients}
    decayed, _ = decay.update(gradients, decay.init(params), params)
    return decayed


def clip_factor(norm: jax.Array, hparams: Hparams, recipe: Recipe) -> jax.Array:
    """Returns the factor by which clipping multiplies gradients of this norm."""
    if not recipe.clip:
        return jnp.ones_like(norm)
    return jnp.minimum(1.0, hparams.clip_norm / jnp.maximum(norm, 1e-30))


def preconditioner(
    opt_state: Any, params: Any, hparams: Hparams, recipe: Recipe
) -> Any:
    """Returns the numbers by which the optimizer divides each gradient, like `params`.

    RMSProp divides by sqrt(s + rms_epsilon). The other optimizer divides by 1.
    """
    if recipe.optimizer != 'rmsprop':
        return jax.tree.map(jnp.ones_like, params)
    squares = optax.tree.get(opt_state, 'nu')
    return jax.tree.map(lambda s: jnp.sqrt(s + hparams.rms_epsilon), squares)


def scale_updates(
    updates: dict[str, Any], factors: Mapping[str, float]
) -> dict[str, Any]:
    """Multiplies the updates of the blocks that have a factor.

    Factors apply after the momentum. So a factor for all blocks equals a factor of the
    learning rate, also for RMSProp, which has the rate inside the momentum buffer.
    """
    return {
        block: optax.tree.scale(factors[block], tree) if block in factors else tree
        for block, tree in updates.items()
    }


def kernel_mask(params) -> dict:
    """Returns a tree with True for kernels, which weight decay acts on."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key == 'kernel', params
    )
