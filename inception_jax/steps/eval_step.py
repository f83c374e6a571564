"""Evaluation of one batch: sums of losses and errors, or the softmax."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Classifier
from inception_jax.steps.losses import cross_entropy
from inception_jax.steps.metrics import outside_top
from inception_jax.steps.train_step import Batch, Metrics


def eval_step(
    variables: dict[str, Any],
    residual_scale: jax.Array,
    batch: Batch,
    *,
    classifier: Classifier,
    scale: Callable[[jax.Array], jax.Array],
) -> Metrics:
    """Returns sums over the real examples of a batch, and their number `examples`.

    `scale` maps images uint8 to the network's range. `cross_entropy` is without
    smoothing; `top_1_errors` and `top_5_errors` are counts.
    """
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
    """Returns `example` and `mask` of a batch, and `softmax` [batch, classes].

    If `mirrored` it is the mean of the softmax of an image and of its mirror image.
    """

    def softmax(images: jax.Array) -> jax.Array:
        outputs = classifier.apply(
            variables, images, train=False, residual_scale=residual_scale
        )
        return jax.nn.softmax(outputs.logits.astype(jnp.float32))

    images = scale(batch['image'])
    found = softmax(images)
    if mirrored:
        found = (found + softmax(images[:, :, ::-1])) / 2
    return {'example': batch['example'], 'mask': batch['mask'], 'softmax': found}
