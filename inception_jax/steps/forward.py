"""The training forward pass: a batch, augmented with the keys of its step.

A batch is a dict of arrays:
  image: uint8 [batch, size, size, 3].
  label: int32 [batch].
  example: uint32 [batch], the number of the example in its source.
  mask: bool [batch], False on padding; in evaluation only.
  unreadable: bool [batch], True where another example replaces an unreadable example;
    in training only, and optional.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.model.classifier import Classifier, Outputs
from inception_jax.runtime.random_numbers import pinned_draws
from inception_jax.steps.keys import AUGMENTATION, DROPOUT, keys_for
from inception_jax.steps.schedules import residual_scale
from inception_jax.steps.state import TrainState

# The entries that a batch needs in training and in evaluation.
TRAINING = ('image', 'label', 'example')
EVALUATION = ('image', 'label', 'mask')

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]

# Maps keys [batch] and images uint8 to images in the network's pixel range.
Augment = Callable[[jax.Array, jax.Array], jax.Array]

# Averages a tree over devices that each have a part of the batch.
Mean = Callable[[Any], Any]


def identity(tree: Any) -> Any:
    """Returns the mean over one device: the tree itself."""
    return tree


def check_batch(batch: Batch, needed: tuple[str, ...]) -> None:
    """Raises ValueError unless a batch has the needed entries, one value per image.

    Labels of the shape [batch, 1] would be compared with every image of the batch.
    """
    if missing := [name for name in needed if name not in batch]:
        raise ValueError(
            f'the batch lacks {", ".join(missing)}; it has {", ".join(batch)}, and '
            f'the step needs {", ".join(needed)}'
        )
    examples = len(batch['image'])
    kinds = {'label': jnp.integer, 'example': jnp.integer, 'mask': jnp.bool_}
    for name in needed:
        x, kind = batch[name], kinds.get(name)
        if kind and not (x.shape == (examples,) and jnp.issubdtype(x.dtype, kind)):
            raise ValueError(
                f'{name} of the batch is {x.dtype} {[*x.shape]}; expected '
                f'{kind.__name__.rstrip("_")} [{examples}], one per image'
            )


def forward(
    state: TrainState,
    params: Any,
    batch: Batch,
    *,
    classifier: Classifier,
    augment: Augment,
    mutable: tuple[str, ...] = ('batch_stats',),
) -> tuple[Outputs, dict[str, Any]]:
    """Applies the network to a batch as in the next step after `state`.

    Args:
      params: the parameters, which are used instead of `state.params`.
      mutable: the collections to return.

    Returns:
      The outputs, and the updated collections.
    """
    return classifier.apply(
        {'params': params, 'batch_stats': state.batch_stats},
        augmented(state, batch, augment=augment),
        train=True,
        residual_scale=residual_scale(state.step, state.hparams),
        dropout_rate=state.hparams.dropout_rate,
        keys=keys_for(DROPOUT, state.key, state.step, batch['example']),
        mutable=list(mutable),
    )


def augmented(state: TrainState, batch: Batch, *, augment: Augment) -> jax.Array:
    """Returns the images of a batch, augmented as in the next step after `state`."""
    keys = keys_for(AUGMENTATION, state.key, state.step, batch['example'])
    with pinned_draws():
        return augment(keys, batch['image'])
