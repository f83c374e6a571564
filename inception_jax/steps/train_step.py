"""The train step: a pure function of state and batch."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from inception_jax.model.classifier import Classifier
from inception_jax.steps.accumulation import mean_over_micro_batches
from inception_jax.steps.by_block import (
    block_names,
    block_norms,
    blocks_finite,
    merge_blocks,
    nearest_numbers,
    without_blocks,
)
from inception_jax.steps.forward import (
    TRAINING,
    Augment,
    Batch,
    Mean,
    Metrics,
    check_batch,
    forward,
    identity,
)
from inception_jax.steps.losses import objective
from inception_jax.steps.metrics import batch_means, signs_of_life
from inception_jax.steps.optimizers import (
    clip_factor,
    decayed_gradients,
    optimizer,
    scale_updates,
)
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import ema_decay, learning_rate
from inception_jax.steps.state import TrainState


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    classifier: Classifier,
    recipe: Recipe,
    augment: Augment,
    mean: Mean = identity,
) -> tuple[TrainState, Metrics]:
    """Updates the state by one batch (`steps.forward` describes a batch).

    With `recipe.accumulation` the gradient is the mean over several micro-batches, one
    after another. Each micro-batch uses its own batch statistics. The running
    statistics move once, by the mean over micro-batches. Blocks that are frozen in the
    classifier have no gradient.

    Args:
      augment: maps keys [batch] and images uint8 to images in the network's range.
      mean: averages a tree over the devices, each of which has a part of the batch.

    Returns:
      The next state and the metrics. The metrics are float32 scalars, except `blocks`:

      loss: the objective without its L2 term.
      cross_entropy: without label smoothing, in nats.
      top_1_error, top_5_error: in percent.
      gradient_norm: the Euclidean norm of all gradients of `loss`.
      decayed_gradient_norm: the same norm with the gradients of the L2 term.
      clip_factor: the factor by which clipping multiplies the gradients, 1 without
        clipping.
      learning_rate: the rate of this step.
      zero_share, dead_channels: shares of zeros and of channels that are zero for the
        whole batch, in the final feature map, from 0 to 1.
      skipped: 1 if the update was skipped because it is not finite; only with
        `recipe.skip_non_finite`.
      unreadable: the share of replaced examples; only if the batch has this entry.
      blocks: `gradient_norm`, and `finite`, whether the batch statistics are finite, as
        arrays [blocks] in the order of `by_block.block_names`.

    Raises:
      ValueError: the batch lacks an entry, has entries of another shape, or does not
        divide into the micro-batches.

    >>> import functools
    >>> from inception_jax.networks import conv, network, one
    >>> from inception_jax.steps.hparams import hparams_for
    >>> from inception_jax.steps.state import initial_state
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> recipe = Recipe(
    ...     optimizer='momentum', schedule='constant', clip=False, initializer='he',
    ...     batch_norm_decay=0.9, dtype='float32', flip=False, colour='none',
    ... )
    >>> hparams = hparams_for(
    ...     net, learning_rate=0.1, decay_rate=1.0, decay_epochs=1.0, momentum=0.9,
    ...     rms_decay=0.9, rms_epsilon=1.0, clip_norm=1.0, weight_decay=0.0,
    ...     label_smoothing=0.1, auxiliary_weight=0.0, ema_decay=0.99, epochs=1.0,
    ...     steps_per_epoch=100.0,
    ... )
    >>> step = functools.partial(
    ...     train_step, classifier=Classifier(net, 0.9), recipe=recipe,
    ...     augment=lambda keys, images: images.astype(jnp.float32) / 127.5 - 1.0,
    ... )
    >>> batch = {
    ...     'image': jnp.zeros((2, 8, 8, 3), jnp.uint8), 'label': jnp.array([3, 4]),
    ...     'example': jnp.array([0, 1], jnp.uint32),
    ... }
    >>> state = initial_state(net, recipe, hparams, seed=0)
    >>> after, metrics = jax.eval_shape(step, state, batch)  # jax.jit(step) computes it
    >>> after.step.dtype, metrics['loss'].shape, metrics['blocks']['finite'].shape
    (dtype('int32'), (), (2,))
    """

    check_batch(batch, TRAINING)

    def result_for(part: Batch) -> _BatchResult:
        def loss_of(trained):
            params = state.params | trained
            outputs, updated = forward(
                state, params, part, classifier=classifier, augment=augment
            )
            loss = mean(objective(outputs, part['label'], state.hparams).mean())
            return loss, (
                outputs,
                without_blocks(updated['batch_stats'], classifier.frozen),
            )

        (loss, (outputs, batch_stats)), gradients = jax.value_and_grad(
            loss_of, has_aux=True
        )(without_blocks(state.params, classifier.frozen))
        return _BatchResult(loss, gradients, batch_stats, batch_means(outputs, part))

    # Both the loss inside and the gradients outside are averaged. Together they are
    # correct under every transpose of a mean that JAX has had.
    result = mean(mean_over_micro_batches(result_for, batch, recipe.accumulation))
    rate = learning_rate(state.step, state.hparams, recipe.schedule)
    blocks = block_names(classifier.network)
    gradient_norms = block_norms(result.gradients, blocks)
    decayed_norm = optax.tree.norm(
        decayed_gradients(result.gradients, state.params, state.hparams)
    )
    metrics = {
        'loss': result.loss,
        'gradient_norm': jnp.sqrt(jnp.sum(gradient_norms**2)),
        'decayed_gradient_norm': decayed_norm,
        'clip_factor': clip_factor(decayed_norm, state.hparams, recipe),
        'learning_rate': rate,
        **signs_of_life(result.means),
        'blocks': {
            'gradient_norm': gradient_norms,
            'finite': blocks_finite(result.batch_stats, blocks),
        },
    }
    factors = nearest_numbers(classifier.network, dict(recipe.rate_factors))
    rule = optimizer(state.hparams, recipe, rate)
    after = _updated(state, result, rule, factors, classifier.frozen)
    if not recipe.skip_non_finite:
        return after, metrics
    finite = _is_finite(metrics)
    after = jax.tree.map(functools.partial(jnp.where, finite), after, state)
    after = dataclasses.replace(after, step=state.step + 1)
    return after, metrics | {'skipped': 1.0 - finite.astype(jnp.float32)}


class _BatchResult(NamedTuple):
    """The part of an update that is computed from examples.

    All fields but `batch_stats` are linear: the mean over equal parts of a batch equals
    the value of the whole batch.
    """

    loss: jax.Array
    gradients: Any
    batch_stats: Any
    means: Metrics


def _is_finite(metrics: Metrics) -> jax.Array:
    """Returns whether loss, gradients and batch statistics of a step are finite."""
    numbers = metrics['loss'], metrics['gradient_norm']
    return jnp.isfinite(jnp.stack(numbers)).all() & metrics['blocks']['finite'].all()


def _updated(
    state: TrainState,
    result: _BatchResult,
    rule: optax.GradientTransformation,
    factors: Mapping[str, float],
    frozen: Sequence[str],
) -> TrainState:
    """Returns the state after an update of the optimizer and of the EMA weights.

    Frozen blocks are left out, because a mean of equal numbers may be rounded.
    """
    params = without_blocks(state.params, frozen)
    updates, opt_state = rule.update(result.gradients, state.opt_state, params)
    variables = {
        'params': optax.apply_updates(params, scale_updates(updates, factors)),
        'batch_stats': result.batch_stats,
    }
    decay = ema_decay(state.step + 1, state.hparams)
    before = {name: without_blocks(tree, frozen) for name, tree in state.ema.items()}
    return dataclasses.replace(
        state,
        step=state.step + 1,
        **merge_blocks(vars(state), variables),
        opt_state=opt_state,
        ema=merge_blocks(
            state.ema, optax.incremental_update(variables, before, 1.0 - decay)
        ),
    )
