"""The train step and the evaluation step: pure functions of state and batch.

A batch is a dict: `image` uint8 [batch, size, size, 3], `label` int32 [batch],
`example` uint32 [batch], the number of the example in its source, and for evaluation
`mask` bool [batch], False on padding. For training it may have `unreadable` bool
[batch], True where another example stands for one that cannot be read.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from inception_jax.model.classifier import Classifier, Outputs
from inception_jax.steps.by_block import (
    block_names,
    block_norms,
    blocks_finite,
    merge_blocks,
    nearest_numbers,
    without_blocks,
)
from inception_jax.steps.losses import cross_entropy, objective
from inception_jax.steps.metrics import (
    activity,
    dead_channels,
    outside_top,
    percent,
    zero_share,
)
from inception_jax.steps.optimizers import optimizer, scale_updates
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import (
    ema_decay,
    learning_rate,
    residual_scale,
)
from inception_jax.steps.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]
Augment = Callable[[jax.Array, jax.Array], jax.Array]
Mean = Callable[[Any], Any]


def itself(tree: Any) -> Any:
    """Returns the mean over one device: the tree."""
    return tree


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    classifier: Classifier,
    recipe: Recipe,
    augment: Augment,
    mean: Mean = itself,
) -> tuple[TrainState, Metrics]:
    """Updates the state by one batch.

    With `recipe.accumulation` the gradient is that of several micro-batches, one after
    another. Each has batch statistics of its own; the running ones move once, by their
    mean. For blocks that are frozen in the classifier there is no gradient.

    Args:
      augment: maps keys [batch] and images uint8 to images in the network's range.
      mean: averages a tree over the devices where each sees its own part of the batch.

    Returns:
      The next state, and float32 scalars: `loss`, the objective without its L2 term,
      `cross_entropy` without smoothing, `top_1_error` and `top_5_error` in percent,
      `gradient_norm`, `learning_rate`, `zero_share` and `dead_channels` of the last
      grid; and in `blocks`, [blocks] in the order of `by_block.names`, `gradient_norm`
      and `finite`, whether the batch statistics are. With `recipe.skip_non_finite` also
      `skipped`, 1 where the update was left out, since it is not finite; and of a batch
      that tells what was `unreadable`, its share.
    """

    def found_in(part: Batch) -> _Found:
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
        return _Found(loss, gradients, batch_stats, batch_means(outputs, part))

    # Both the loss inside and the gradients outside are averaged: under any transpose
    # of a mean that JAX has had, the two together are right.
    found = mean(_mean_over_parts(found_in, batch, recipe.accumulation))
    rate = learning_rate(state.step, state.hparams, recipe.schedule)
    blocks = block_names(classifier.network)
    gradient_norms = block_norms(found.gradients, blocks)
    metrics = {
        'loss': found.loss,
        'gradient_norm': jnp.sqrt(jnp.sum(gradient_norms**2)),
        'learning_rate': rate,
        **_metrics(found.means),
        'blocks': {
            'gradient_norm': gradient_norms,
            'finite': blocks_finite(found.batch_stats, blocks),
        },
    }
    factors = nearest_numbers(classifier.network, dict(recipe.rate_factors))
    rule = optimizer(state.hparams, recipe, rate)
    after = _updated(state, found, rule, factors, classifier.frozen)
    if not recipe.skip_non_finite:
        return after, metrics
    good = _is_finite(metrics)
    after = jax.tree.map(functools.partial(jnp.where, good), after, state)
    after = dataclasses.replace(after, step=state.step + 1)
    return after, metrics | {'skipped': 1.0 - good.astype(jnp.float32)}


class _Found(NamedTuple):
    """What an update needs of examples. Means over equal parts of a batch are those of
    the batch, but for batch statistics.
    """

    loss: jax.Array
    gradients: Any
    batch_stats: Any
    means: Metrics


def micro_batches(batch: Batch, parts: int) -> Batch:
    """Returns the parts of a batch along a first axis of their own.

    Example i is in part i mod `parts`: every device has its share of each.
    """
    return jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch
    )


def _mean_over_parts(
    function: Callable[[Batch], _Found], batch: Batch, parts: int
) -> _Found:
    """Returns the mean of a function over micro-batches, one after another."""
    if parts == 1:
        return function(batch)
    batch = micro_batches(batch, parts)
    like = jax.eval_shape(function, jax.tree.map(lambda x: x[0], batch))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)

    def add(total: _Found, part: Batch) -> tuple[_Found, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    total, _ = jax.lax.scan(add, zeros, batch)
    return jax.tree.map(lambda x: x / parts, total)


def _is_finite(metrics: Metrics) -> jax.Array:
    """Tells whether the loss, the gradients and the batch statistics of a step are."""
    numbers = metrics['loss'], metrics['gradient_norm']
    return jnp.isfinite(jnp.stack(numbers)).all() & metrics['blocks']['finite'].all()


def forward(
    state: TrainState,
    params: Any,
    batch: Batch,
    *,
    classifier: Classifier,
    augment: Augment,
    mutable: tuple[str, ...] = ('batch_stats',),
) -> tuple[Outputs, dict[str, Any]]:
    """Returns what the network makes of a batch in the step after this state.

    `mutable` names the collections that come back beside the outputs.
    """
    return classifier.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        augmented(state, batch, augment=augment),
        train=True,
        residual_scale=residual_scale(state.step, state.hparams),
        dropout_rate=state.hparams.dropout_rate,
        keys=_keys(state, batch, 1),
        mutable=list(mutable),
    )


def augmented(state: TrainState, batch: Batch, *, augment: Augment) -> jax.Array:
    """Returns the images of a batch as the step after this state sees them."""
    return augment(_keys(state, batch, 0), batch['image'])


def _updated(state, found, rule, factors, frozen) -> TrainState:
    """Returns the state after a step of the optimizer and of the averages.

    What is frozen keeps its bits, which a mean or an average of equals would not.
    """
    params = without_blocks(state.params, frozen)
    updates, opt_state = rule.update(found.gradients, state.opt_state, params)
    variables = {
        'params': optax.apply_updates(params, scale_updates(updates, factors)),
        'batch_stats': found.batch_stats,
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


def batch_means(outputs: Outputs, batch: Batch) -> Metrics:
    """Returns what the metrics of a batch are made of: means over its examples."""
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


def _metrics(means: Metrics) -> Metrics:
    seen = means.pop('activity')
    signs = {'zero_share': zero_share(seen), 'dead_channels': dead_channels(seen)}
    return means | signs


def example_keys(key: jax.Array, step: jax.Array, examples: jax.Array) -> jax.Array:
    """Returns a key per example: a function of (seed, step, example) and nothing else.

    All randomness of a step comes from here, so it does not depend on how a batch lies
    on devices.
    """
    step_key = jax.random.fold_in(key, step)
    return jax.vmap(lambda example: jax.random.fold_in(step_key, example))(examples)


def _keys(state: TrainState, batch: Batch, purpose: int) -> jax.Array:
    keys = example_keys(state.key, state.step, batch['example'])
    return jax.vmap(lambda key: jax.random.fold_in(key, purpose))(keys)
