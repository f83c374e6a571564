"""Diagnostics: activations and weight updates of every block in a step.

Diagnostics are computed in separate passes that do not change the state, so a run is
bit-identical with and without them. Arrays [blocks] are in the order of
`by_block.block_names`; a quantity that is not defined for a block is NaN.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Classifier, Outputs, apply_logits_layer
from inception_jax.networks.network import Network, by_block
from inception_jax.stability.logits_layer import (
    edge_ratio,
    largest_curvature_of_logits,
)
from inception_jax.steps.accumulation import micro_batches
from inception_jax.steps.by_block import (
    block_names,
    block_norms,
    nearest_numbers,
    without_blocks,
)
from inception_jax.steps.forward import (
    Augment,
    Batch,
    Mean,
    Metrics,
    forward,
    identity,
)
from inception_jax.steps.keys import DROPOUT, keys_for
from inception_jax.steps.losses import cross_entropy
from inception_jax.steps.metrics import activity, dead_channels, zero_share
from inception_jax.steps.optimizers import preconditioner
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import learning_rate, residual_scale
from inception_jax.steps.state import TrainState


def diagnose(
    state: TrainState,
    batch: Batch,
    *,
    classifier: Classifier,
    recipe: Recipe,
    augment: Augment,
    mean: Mean = identity,
) -> Metrics:
    """Measures the forward pass of the next step after `state`.

    With `recipe.accumulation` only the first micro-batch is measured.

    Args:
      augment: maps keys [batch] and images uint8 to images in the network's range.
      mean: averages a tree over the devices, each of which has a part of the batch.

    Returns:
      Arrays [blocks]:

      output_rms: the root mean square of a block's output.
      zero_share, dead_channels: shares of its zeros, and of its channels that are zero
        for the whole batch, from 0 to 1.
      trunk_rms, branch_rms: the root mean squares of x and of F(x) before the scale, in
        the last residual sum of a residual block.
      branch_ratio: the root mean square of scale * F(x), over that of x.

      Scalars of the batch. The features x of an image are the means over the pixels of
      the final feature map:

      nats_learned: ln(classes) minus the cross-entropy. A dead network stays near 0.
      logits_rms: the root mean square of the logits.
      saturation: the mean of the largest probability; 1 / classes for a network that
        does not distinguish classes, 1 for a saturated softmax.
      feature_square: the mean of |x|^2.
      common_feature_square: |mean x|^2, the part of |x|^2 that all images share.
      logits_curvature: the largest curvature of the logits layer, preconditioned by
        the optimizer (`stability.logits_layer`).
      logits_edge_ratio: this curvature over the edge of stability at the rate of the
        logits layer. Above 1 the layer overshoots in a quadratic model.

    >>> import functools
    >>> import inception_jax as ij
    >>> net = ij.network('tiny', ij.one('stem', ij.conv(4, 3, 2)), input_size=8)
    >>> quickstart = ij.experiment(ij.load_config('configs/quickstart.py'))
    >>> hparams = ij.hparams_for(
    ...     net, **quickstart.hparams, epochs=10.0, steps_per_epoch=45.0
    ... )
    >>> state = ij.initial_state(net, quickstart.recipe, hparams, seed=0)
    >>> batch = {
    ...     'image': jnp.zeros((2, 8, 8, 3), jnp.uint8), 'label': jnp.array([3, 4]),
    ...     'example': jnp.array([0, 1], jnp.uint32),
    ... }
    >>> measure = functools.partial(
    ...     diagnose, classifier=ij.Classifier(net, batch_norm_decay=0.9),
    ...     recipe=quickstart.recipe,
    ...     augment=lambda keys, images: images.astype(jnp.float32) / 127.5 - 1.0,
    ... )
    >>> diagnosis = jax.eval_shape(measure, state, batch)  # jax.jit computes it
    >>> diagnosis['output_rms'].shape  # the stem and the logits
    (2,)
    """
    network = classifier.network
    batch = jax.tree.map(lambda x: x[0], micro_batches(batch, recipe.accumulation))
    outputs, updated = forward(
        state,
        state.params,
        batch,
        classifier=classifier,
        augment=augment,
        mutable=('batch_stats', 'intermediates'),
    )
    scales = _last_scales(network, residual_scale(state.step, state.hparams))
    rows = [
        _block_row(updated['intermediates'][name], scales.get(name), mean)
        for name in block_names(network)
    ]
    losses = cross_entropy(outputs.logits, batch['label'], 0.0)
    return {
        **{
            quantity: jnp.stack([row[quantity] for row in rows]) for quantity in rows[0]
        },
        'nats_learned': jnp.log(float(network.classes)) - mean(losses.mean()),
        **_logits_layer(state, batch, outputs, classifier, recipe, mean),
    }


def update_ratio(before: Any, after: Any, network: Network) -> jax.Array:
    """Returns the norm of each block's weight update over the norm of its weights.

    Args:
      before: the parameters before the step.
      after: the parameters after the step.

    Returns:
      [blocks].
    """
    blocks = block_names(network)
    moved = jax.tree.map(jnp.subtract, after, before)
    return block_norms(moved, blocks) / block_norms(before, blocks)


def _logits_layer(
    state: TrainState,
    batch: Batch,
    outputs: Outputs,
    classifier: Classifier,
    recipe: Recipe,
    mean: Mean,
) -> Metrics:
    """Returns the quantities of the features, the logits and their layer."""
    x = outputs.features.astype(jnp.float32).mean(axis=(1, 2))
    square = functools.partial(jnp.sum, axis=-1)
    probabilities = jax.nn.softmax(outputs.logits.astype(jnp.float32))
    curvature = logits_curvature(
        state, batch, outputs.features, classifier=classifier, recipe=recipe, mean=mean
    )
    factors = nearest_numbers(classifier.network, dict(recipe.rate_factors))
    rate = learning_rate(state.step, state.hparams, recipe.schedule)
    return {
        'logits_rms': _rms(outputs.logits, mean),
        'saturation': mean(probabilities.max(axis=-1).mean()),
        'feature_square': mean(square(x**2).mean()),
        'common_feature_square': square(mean(x.mean(axis=0)) ** 2),
        'logits_curvature': curvature,
        'logits_edge_ratio': edge_ratio(
            curvature, factors.get('logits', 1.0) * rate, state.hparams.momentum
        ),
    }


def logits_curvature(
    state: TrainState,
    batch: Batch,
    features: jax.Array,
    *,
    classifier: Classifier,
    recipe: Recipe,
    mean: Mean = identity,
) -> jax.Array:
    """Returns the largest curvature of the logits layer, preconditioned.

    It is 0 if the layer is frozen. The features are dropped as in the next step.

    Args:
      features: the final feature map of the batch.
    """
    if 'logits' in classifier.frozen:
        return jnp.zeros(())
    weights = state.params['logits']
    stored = {c: tree.get('logits', {}) for c, tree in state.variables.items()}
    keys = keys_for(DROPOUT, state.key, state.step, batch['example'])
    divisors = preconditioner(
        state.opt_state,
        without_blocks(state.params, classifier.frozen),
        state.hparams,
        recipe,
    )

    def head(weights: Any) -> jax.Array:
        return apply_logits_layer(
            classifier,
            stored | {'params': weights},
            features,
            (keys, state.hparams.dropout_rate),
        )

    return largest_curvature_of_logits(head, weights, divisors['logits'], mean=mean)


def _last_scales(network: Network, scales: jax.Array) -> dict[str, jax.Array]:
    """Returns the scale of the last residual sum of each block that has one."""
    places = by_block(network, range(len(scales)))
    return {block.name: scales[sums[-1]] for block, sums in places if sums}


def _block_row(
    intermediates: dict[str, Any], scale: jax.Array | None, mean: Mean
) -> Metrics:
    """Returns the quantities of one block; `scale` is None if it is not residual."""
    (output,) = intermediates['output']
    unknown = jnp.array(jnp.nan, jnp.float32)
    trunk_rms, branch_rms, ratio = unknown, unknown, unknown
    if scale is not None:
        trunk_rms, branch_rms = (
            _rms(intermediates[part][-1], mean) for part in ('trunk', 'branch')
        )
        ratio = jnp.abs(scale) * branch_rms / trunk_rms
    zeros = mean(activity(output))
    return {
        'output_rms': _rms(output, mean),
        'zero_share': zero_share(zeros),
        'dead_channels': dead_channels(zeros),
        'trunk_rms': trunk_rms,
        'branch_rms': branch_rms,
        'branch_ratio': ratio,
    }


def _rms(x: jax.Array, mean: Mean) -> jax.Array:
    return jnp.sqrt(mean(jnp.mean(jnp.square(x.astype(jnp.float32)))))
