"""The linen reading of a network: the one interpreter of its ops."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from inception_jax.model import fast
from inception_jax.model.execution import Execution, execution
from inception_jax.model.plain import _Block, _Mode
from inception_jax.networks.network import (
    Block,
    Network,
    auxiliary_head,
    head,
    residual_scales,
    trunk,
)
from inception_jax.networks.ops import (
    Op,
    residuals,
)


class Outputs(NamedTuple):
    """What a classifier returns.

    `logits` and `auxiliary_logits` are float32 [batch, classes], the latter None where
    there is no auxiliary head. `features` is the last grid, before the average pool:
    [batch, height, width, channels].
    """

    logits: jax.Array
    auxiliary_logits: jax.Array | None
    features: jax.Array


class Classifier(nn.Module):
    """A network as a linen module. Parameters and statistics are float32.

    `dtype` is that of the convolutions; batch statistics, the residual sum's arithmetic
    and the heads are float32. `batch_norm_axis` names the mapped axis over which
    statistics are averaged, None for those of the array at hand. The stages in `remat`,
    or 'all', keep nothing but their blocks' inputs for the backward pass. The blocks in
    `frozen` train as they are evaluated: with the statistics stored, which stay.
    `execution` says how it is computed on a `platform`, see there; the variables are
    the same.

    With the collection `intermediates` mutable, a block leaves its `output` there and,
    for each of its residual sums, the `trunk` x and the `branch` F(x) before the scale:
    tuples of arrays by block.
    """

    network: Network
    batch_norm_decay: float
    dtype: jnp.dtype = jnp.float32
    batch_norm_axis: str | None = None
    remat: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    execution: str = 'fast'
    platform: str | None = None

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        *,
        train: bool,
        residual_scale: jax.Array | float | None = None,
        dropout_rate: jax.Array | float | None = None,
        keys: jax.Array | None = None,
    ) -> Outputs:
        """Applies the network to images in its pixel range.

        Args:
          x: [batch, height, width, 3].
          train: whether batch norm uses (and updates) the statistics of the batch.
          residual_scale: one number, or one per residual block from the image on;
            traced. None means the network's.
          dropout_rate: the share of features to drop; traced. None means the network's.
          keys: a key per example, [batch], for dropout; None means no dropout.
        """
        own = residual_scales(self.network)
        scale = jnp.asarray(own if residual_scale is None else residual_scale)
        scales = iter(jnp.broadcast_to(scale, len(own)))
        rate = self.network.dropout if dropout_rate is None else dropout_rate
        levers = execution(self.execution, self.platform)

        def block(name: str, stage: str, op: Op, x: jax.Array) -> jax.Array:
            here = [next(scales) for _ in residuals(op)]
            if levers and not self.is_initializing():
                which = Block(name, stage, op)
                return _fast_block(self, levers, which, train, x, here, (keys, rate))
            kind = nn.remat(_Block) if {stage, 'all'} & {*self.remat} else _Block
            mode = _mode(self, train and name not in self.frozen)
            return kind(op, mode, name=name)(x, here, (keys, rate))

        x = x.astype(self.dtype)
        grids = {}
        for name, stage, op in trunk(self.network):
            x = grids[stage] = block(name, stage, op, x)
        logits = block('logits', 'logits', head(self.network), x)
        auxiliary = None
        if self.network.auxiliary:
            op, grid = auxiliary_head(self.network), grids[self.network.auxiliary.after]
            auxiliary = block('auxiliary', 'auxiliary', op, grid)
        return Outputs(logits, auxiliary, x)


def _mode(classifier: Classifier, train: bool) -> _Mode:
    network = classifier.network
    norm = functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        axis_name=classifier.batch_norm_axis,
        momentum=classifier.batch_norm_decay,
        epsilon=network.batch_norm_epsilon,
        use_scale=network.batch_norm_gamma,
        dtype=jnp.float32,
    )
    return _Mode(classifier.dtype, norm, train)


def _fast_block(
    classifier: Classifier, levers: Execution, block: Block, train: bool, *inputs
) -> jax.Array:
    """Applies a block as a function of its variables, and puts back what it leaves."""
    observed = classifier.is_mutable_collection('intermediates')
    mode = fast.BlockMode(
        levers,
        jnp.dtype(classifier.dtype),
        train and block.name not in classifier.frozen,
        classifier.batch_norm_axis,
        classifier.batch_norm_decay,
        classifier.network.batch_norm_epsilon,
        observed,
    )
    apply, trees = fast.apply_block_fast, classifier.variables.items()
    if {block.stage, 'all'} & {*classifier.remat}:
        apply = jax.checkpoint(apply, static_argnums=(0, 1))
    own = {name: tree[block.name] for name, tree in trees if block.name in tree}
    done = apply(block.op, mode, own, *inputs)
    if done.batch_stats and classifier.is_mutable_collection('batch_stats'):
        classifier.put_variable('batch_stats', block.name, done.batch_stats)
    if observed:
        left = {'output': (done.output,)} | done.sums
        classifier.put_variable('intermediates', block.name, left)
    return done.output


def apply_block(
    classifier: Classifier,
    variables: dict[str, Any],
    block: Block,
    x: jax.Array,
    scales: Sequence[jax.Array],
) -> tuple[jax.Array, dict[str, tuple[jax.Array, ...]]]:
    """Applies a block of the trunk as in training, with the statistics of the batch.

    Args:
      variables: those of the whole classifier; a frozen block has its own statistics.
      x: the block's input, in the classifier's dtype.
      scales: one per residual sum of the block.

    Returns:
      The block's output, and what it leaves in `intermediates`.
    """
    own = {name: tree.get(block.name, {}) for name, tree in variables.items()}
    whole = _Block(block.op, _mode(classifier, block.name not in classifier.frozen))
    collections = ['batch_stats', 'intermediates']
    output, left = whole.apply(own, x, scales, (None, 0.0), mutable=collections)
    return output, left['intermediates']
