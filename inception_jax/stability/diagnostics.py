"""What goes on inside a network during a step: numbers for every block.

They come from passes of their own that leave the state alone: a run has the same bits
with them and without. Blocks are those of `by_block.names`; what has no meaning for a
block is NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Classifier
from inception_jax.networks.network import Network, trunk
from inception_jax.networks.ops import residuals
from inception_jax.steps.by_block import block_names, block_norms
from inception_jax.steps.losses import cross_entropy
from inception_jax.steps.metrics import activity, dead_channels, zero_share
from inception_jax.steps.schedules import residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.steps.train_step import (
    Augment,
    Batch,
    Mean,
    Metrics,
    forward,
    itself,
    micro_batches,
)


def diagnose(
    state: TrainState,
    batch: Batch,
    *,
    classifier: Classifier,
    augment: Augment,
    accumulation: int = 1,
    mean: Mean = itself,
) -> Metrics:
    """Looks into the forward pass of the step that comes after this state.

    Args:
      accumulation: of that many micro-batches the first one is seen.
      mean: averages a tree over the devices where each sees its own part of the batch.

    Returns:
      By block, [blocks]: `output_rms`, and of the output `zero_share` and
      `dead_channels`; for residual blocks `trunk_rms` of x, `branch_rms` of F(x) before
      the scale, and `branch_ratio`, that of the scaled branch to the trunk (of the last
      residual sum in the block). And `nats_learned`, by how much the cross-entropy of
      the batch is below ln(classes): a dead network stays near 0.
    """
    network = classifier.network
    batch = jax.tree.map(lambda x: x[0], micro_batches(batch, accumulation))
    outputs, seen = forward(
        state,
        state.params,
        batch,
        classifier=classifier,
        augment=augment,
        mutable=('batch_stats', 'intermediates'),
    )
    scales = _last_scales(network, residual_scale(state.step, state.hparams))
    rows = [
        _block(seen['intermediates'][name], scales.get(name), mean)
        for name in block_names(network)
    ]
    losses = cross_entropy(outputs.logits, batch['label'], 0.0)
    return {
        **{
            quantity: jnp.stack([row[quantity] for row in rows]) for quantity in rows[0]
        },
        'nats_learned': jnp.log(float(network.classes)) - mean(losses.mean()),
    }


def update_ratio(before: Any, after: Any, network: Network) -> jax.Array:
    """Returns how far a step moved the weights of each block, over their norm.

    Args:
      before: the parameters before the step.
      after: those after it.

    Returns:
      [blocks].
    """
    blocks = block_names(network)
    moved = jax.tree.map(jnp.subtract, after, before)
    return block_norms(moved, blocks) / block_norms(before, blocks)


def _last_scales(network: Network, scales: jax.Array) -> dict[str, jax.Array]:
    """Returns the scale of the last residual sum of each block that has one."""
    found, count = {}, 0
    for block in trunk(network):
        count += len(residuals(block.op))
        if residuals(block.op):
            found[block.name] = scales[count - 1]
    return found


def _block(seen: dict[str, Any], scale: jax.Array | None, mean: Mean) -> Metrics:
    """Returns the numbers of one block; `scale` is None if it is not residual."""
    (output,) = seen['output']
    unknown = jnp.array(jnp.nan, jnp.float32)
    trunk_rms, branch_rms, ratio = unknown, unknown, unknown
    if scale is not None:
        trunk_rms, branch_rms = (
            _rms(seen[part][-1], mean) for part in ('trunk', 'branch')
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
