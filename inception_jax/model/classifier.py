"""The linen module of a network, with fast or plain execution of its blocks."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from inception_jax.model import fast
from inception_jax.model.classifier_input import (
    check_classifier,
    check_dropout_keys,
    check_dropout_rate,
    check_images,
    check_scales,
)
from inception_jax.model.execution import Execution, execution
from inception_jax.model.plain import PlainBlock, PlainMode
from inception_jax.networks.network import (
    Block,
    Network,
    auxiliary_head,
    by_block,
    head,
    residual_scales,
)


class Outputs(NamedTuple):
    """The outputs of a classifier for a batch of images.

    `Classifier` has an example.

    Attributes:
      logits: float32 [batch, classes].
      auxiliary_logits: float32 [batch, classes]; None if the network has no auxiliary
        head.
      features: the final feature map, before the average pool: [batch, height, width,
        channels].
    """

    logits: jax.Array
    auxiliary_logits: jax.Array | None
    features: jax.Array


class Classifier(nn.Module):
    """A network as a linen module.

    Its variables are float32 and do not depend on `dtype`, `remat`, `execution` or
    `platform`. `initializers.init` draws them without compilation. `Classifier.init`
    compiles the whole network, and draws with the He initializer of Flax.

    With the collection `intermediates` mutable, each block stores its `output` there.
    Each residual sum also stores its `trunk` x and its `branch` F(x) before the scale.
    These are tuples of arrays by block, with one entry per residual sum.

    Attributes:
      network: the architecture.
      batch_norm_decay: the decay of the running batch statistics, from 0 to below 1;
        needed in training only.
      dtype: the dtype of the convolutions, float32 or bfloat16. Batch statistics,
        residual sums and heads are computed in float32.
      batch_norm_axis: the mapped axis over which batch statistics are averaged; None
        uses the statistics of the local array.
      remat: the stages, or 'all', that keep only the inputs of their blocks and
        recompute the rest in the backward pass.
      frozen: the blocks that use their stored batch statistics in training too.
      execution: how blocks are computed: fast, plain, or fast without some
        optimizations (`model.execution`).
      platform: cpu, gpu or tpu; None means the platform that JAX runs on.

    >>> import jax.numpy as jnp
    >>> from inception_jax.model.initializers import init
    >>> from inception_jax.networks import conv, network, one
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> outputs = Classifier(net).apply(
    ...     init(net, seed=0), jnp.zeros((2, 8, 8, 3)), train=False
    ... )
    >>> outputs.logits.shape, outputs.auxiliary_logits, outputs.features.shape
    ((2, 10), None, (2, 4, 4, 4))
    """

    network: Network
    batch_norm_decay: float | None = None
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
          x: [batch, height, width, 3], in floating point.
          train: whether batch norm uses the statistics of the batch, and updates the
            running statistics.
          residual_scale: one number, or one per residual block from the image on;
            traced. None means the scales of the network.
          dropout_rate: the share of features to drop, from 0 to below 1; traced. None
            means the rate of the network.
          keys: a dropout key per example, [batch]. None means the keys that linen draws
            from `apply(..., train=True, rngs={'dropout': key})`, and no dropout without
            `rngs`.

        Raises:
          ValueError: an argument has another shape, dtype or range, the images are too
            small for the network, or the classifier trains and has no
            `batch_norm_decay`.
          TypeError: `network` is not a network, such as a name.
        """
        check_classifier(self, train=train)
        check_images(self.network, x)
        network_scales = residual_scales(self.network)
        scale = jnp.asarray(
            network_scales if residual_scale is None else residual_scale
        )
        check_scales(self.network.name, scale, len(network_scales))
        scales = iter(jnp.broadcast_to(scale, len(network_scales)))
        rate = self.network.dropout if dropout_rate is None else dropout_rate
        check_dropout_rate(rate)
        if keys is None and train and self.has_rng('dropout'):
            keys = jax.random.split(self.make_rng('dropout'), len(x))
        check_dropout_keys(keys, x.shape[0])
        apply = _block_function(self, train)

        x = x.astype(self.dtype)
        stage_outputs, drop = {}, (keys, rate)
        for block, block_scales in by_block(self.network, scales):
            x = stage_outputs[block.stage] = apply(block, x, block_scales, drop)
        logits = apply(Block('logits', 'logits', head(self.network)), x, [], drop)
        auxiliary = None
        if self.network.auxiliary:
            features = stage_outputs[self.network.auxiliary.after]
            block = Block('auxiliary', 'auxiliary', auxiliary_head(self.network))
            auxiliary = apply(block, features, [], drop)
        return Outputs(logits, auxiliary, x)


def apply_trunk_block(
    classifier: Classifier,
    variables: dict[str, Any],
    block: Block,
    x: jax.Array,
    scales: Sequence[jax.Array],
) -> tuple[jax.Array, dict[str, tuple[jax.Array, ...]]]:
    """Applies one block of the trunk as in training, with the statistics of the batch.

    A block that is frozen in the classifier uses its stored statistics.

    Args:
      variables: the variables of the whole classifier.
      x: the block's input, in the classifier's dtype.
      scales: one per residual sum of the block.

    Returns:
      The block's output, and its entries of the collection `intermediates`.
    """
    block_variables = {c: tree.get(block.name, {}) for c, tree in variables.items()}
    module = PlainBlock(block.op, _plain_mode(classifier, _trains(classifier, block)))
    collections = ['batch_stats', 'intermediates']
    output, updated = module.apply(
        block_variables, x, scales, (None, 0.0), mutable=collections
    )
    return output, updated['intermediates']


def apply_logits_layer(
    classifier: Classifier,
    variables: dict[str, Any],
    features: jax.Array,
    drop: tuple[jax.Array | None, jax.Array | float],
) -> jax.Array:
    """Returns the logits [batch, classes] of the final feature map, as in training.

    Args:
      variables: the variables of the logits layer alone, by collection.
      features: [batch, height, width, channels].
      drop: the dropout keys [batch], or None, and the dropout rate.
    """
    module = PlainBlock(head(classifier.network), _plain_mode(classifier, False))
    return module.apply(variables, features, [], drop)


# Applies a block to x, with a scale per residual sum, the dropout keys and rate.
_BlockFunction = Callable[[Block, jax.Array, Sequence[jax.Array], tuple], jax.Array]


def _block_function(classifier: Classifier, train: bool) -> _BlockFunction:
    """Returns the function that executes blocks: fast or plain."""
    levers = execution(classifier.execution, classifier.platform)
    # Only plain execution creates variables.
    if levers is None or classifier.is_initializing():
        return functools.partial(_apply_plain, classifier, train)
    return functools.partial(_apply_fast, classifier, levers, train)


def _apply_plain(
    classifier: Classifier, train: bool, block: Block, *inputs
) -> jax.Array:
    module = nn.remat(PlainBlock) if _recomputes(classifier, block) else PlainBlock
    mode = _plain_mode(classifier, train and _trains(classifier, block))
    return module(block.op, mode, name=block.name)(*inputs)


def _apply_fast(
    classifier: Classifier, levers: Execution, train: bool, block: Block, *inputs
) -> jax.Array:
    """Applies a block as a function of its variables, and stores the updates."""
    observed = classifier.is_mutable_collection('intermediates')
    mode = fast.FastMode(
        levers,
        jnp.dtype(classifier.dtype),
        train and _trains(classifier, block),
        classifier.batch_norm_axis,
        classifier.batch_norm_decay,
        classifier.network.batch_norm_epsilon,
        observed,
    )
    apply = fast.apply_block
    if _recomputes(classifier, block):
        apply = jax.checkpoint(apply, static_argnums=(0, 1))
    variables = {
        collection: tree[block.name]
        for collection, tree in classifier.variables.items()
        if block.name in tree
    }
    result = apply(block.op, mode, variables, *inputs)
    if result.batch_stats and classifier.is_mutable_collection('batch_stats'):
        classifier.put_variable('batch_stats', block.name, result.batch_stats)
    if observed:
        intermediates = {'output': (result.output,)} | result.sums
        classifier.put_variable('intermediates', block.name, intermediates)
    return result.output


def _recomputes(classifier: Classifier, block: Block) -> bool:
    return block.stage in classifier.remat or 'all' in classifier.remat


def _trains(classifier: Classifier, block: Block) -> bool:
    return block.name not in classifier.frozen


def _plain_mode(classifier: Classifier, train: bool) -> PlainMode:
    network = classifier.network
    batch_norm = functools.partial(
        nn.BatchNorm,
        use_running_average=not train,
        axis_name=classifier.batch_norm_axis,
        momentum=classifier.batch_norm_decay,
        epsilon=network.batch_norm_epsilon,
        use_scale=network.batch_norm_gamma,
        dtype=jnp.float32,
    )
    return PlainMode(classifier.dtype, batch_norm, train)
