"""Optimizers from traced numbers; built inside the step."""

from collections.abc import Mapping
from typing import Any

import jax
import optax

from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe


def optimizer(
    hparams: Hparams, recipe: Recipe, learning_rate: jax.Array | float
) -> optax.GradientTransformation:
    """Returns the optimizer of TensorFlow 1 that the recipe names.

    The L2 term enters the gradient, since it is part of the authors' loss, then the
    norm is clipped where the recipe says so. RMSProp has its epsilon inside the root,
    starts its accumulator at 1 and keeps the learning rate inside the momentum buffer
    (tensorflow/core/kernels/training_ops.cc).
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


def scale_updates(
    updates: dict[str, Any], factors: Mapping[str, float]
) -> dict[str, Any]:
    """Multiplies the updates of the blocks that have a factor.

    It acts behind the momentum: a factor of all is one of the learning rate, also where
    that is inside the buffer.
    """
    return {
        block: optax.tree.scale(factors[block], tree) if block in factors else tree
        for block, tree in updates.items()
    }


def kernel_mask(params) -> dict:
    """Marks the kernels among parameters: those that weight decay acts on."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: path[-1].key == 'kernel', params
    )
