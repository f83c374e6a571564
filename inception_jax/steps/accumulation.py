"""Micro-batches: a batch is computed in several parts, one after another."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from inception_jax.runtime.amounts import counted

Tree = TypeVar('Tree')


def micro_batches(batch: dict[str, Any], parts: int) -> dict[str, Any]:
    """Splits a batch into micro-batches along a new first axis.

    Example i is in part i mod `parts`, so each device has a share of each part.

    Raises:
      ValueError: the batch size is not a multiple of `parts`.

    >>> micro_batches({'example': jnp.arange(4)}, 2)['example'].tolist()
    [[0, 2], [1, 3]]
    """
    examples = len(next(iter(batch.values())))
    if examples % parts:
        raise ValueError(
            f'a batch of {counted(examples, "image")} does not divide into {parts} '
            f'micro-batches; use a multiple of {parts}'
        )
    return jax.tree.map(
        lambda x: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0), batch
    )


def mean_over_micro_batches(
    function: Callable[[dict[str, Any]], Tree], batch: dict[str, Any], parts: int
) -> Tree:
    """Returns the mean of a function over micro-batches, computed one after another."""
    if parts == 1:
        return function(batch)
    batch = micro_batches(batch, parts)
    like = jax.eval_shape(function, jax.tree.map(lambda x: x[0], batch))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), like)

    def add(total: Tree, part: dict[str, Any]) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, function(part)), None

    total, _ = jax.lax.scan(add, zeros, batch)
    return jax.tree.map(lambda x: x / parts, total)
