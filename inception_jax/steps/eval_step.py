"""The evaluation of one batch: sums of losses and errors, or the softmax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Classifier
from inception_jax.steps.forward import EVALUATION, Batch, Metrics, check_batch
from inception_jax.steps.losses import cross_entropy
from inception_jax.steps.metrics import outside_top


def eval_step(
    variables: dict[str, Any],
    residual_scale: jax.Array,
    batch: Batch,
    *,
    classifier: Classifier,
    scale: Callable[[jax.Array], jax.Array],
) -> Metrics:
    """Returns sums over the examples of a batch, without its padding.

    Args:
      variables: `params` and `batch_stats` of the classifier.
      residual_scale: one number, or one per residual block from the image on.
      batch: as in `steps.forward`, with `mask`.
      scale: maps images from 0 to 255 to the network's pixel range.

    Returns:
      float32 scalars: `cross_entropy` in nats, without label smoothing; the counts
      `top_1_errors` and `top_5_errors`; and the number of `examples`.

    Raises:
      ValueError: the batch lacks an entry, or has entries of another shape.

    >>> import functools
    >>> from inception_jax.model.initializers import init
    >>> from inception_jax.networks import conv, network, one
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> step = functools.partial(
    ...     eval_step, classifier=Classifier(net, 0.9),
    ...     scale=lambda images: images.astype(jnp.float32) / 127.5 - 1.0,
    ... )
    >>> batch = {
    ...     'image': jnp.zeros((2, 8, 8, 3), jnp.uint8), 'label': jnp.array([3, 4]),
    ...     'mask': jnp.array([True, False]),
    ... }
    >>> sums = jax.jit(step)(init(net, seed=0), jnp.float32(1), batch)
    >>> float(sums['examples'])
    1.0
    """
    check_batch(batch, EVALUATION)
    outputs = classifier.apply(
        variables, scale(batch['image']), train=False, residual_scale=residual_scale
    )
    per_example = {
        'cross_entropy': cross_entropy(outputs.logits, batch['label'], 0.0),
        'top_1_errors': outside_top(1, outputs.logits, batch['label']),
        'top_5_errors': outside_top(5, outputs.logits, batch['label']),
        'examples': jnp.ones_like(batch['mask']),
    }
    return {
        name: jnp.sum(jnp.where(batch['mask'], value.astype(jnp.float32), 0.0))
        for name, value in per_example.items()
    }


def softmax_step(
    variables: dict[str, Any],
    residual_scale: jax.Array,
    batch: Batch,
    *,
    classifier: Classifier,
    scale: Callable[[jax.Array], jax.Array],
    mirrored: bool,
) -> Batch:
    """Returns `example` and `mask` of a batch, and its `softmax`, [batch, classes].

    With `mirrored` the softmax is the mean over an image and its mirror image.
    `eval_step` explains the other arguments.
    """

    check_batch(batch, ('image', 'example', 'mask'))

    def softmax(images: jax.Array) -> jax.Array:
        outputs = classifier.apply(
            variables, images, train=False, residual_scale=residual_scale
        )
        return jax.nn.softmax(outputs.logits.astype(jnp.float32))

    images = scale(batch['image'])
    probabilities = softmax(images)
    if mirrored:
        probabilities = (probabilities + softmax(images[:, :, ::-1])) / 2
    return {
        'example': batch['example'],
        'mask': batch['mask'],
        'softmax': probabilities,
    }
