"""Quantities by block, in the order of `block_names`."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.networks.network import Network, trunk


def block_names(network: Network) -> tuple[str, ...]:
    """Returns the names of the blocks: the trunk from the image on, then the heads."""
    heads = ('logits', 'auxiliary') if network.auxiliary else ('logits',)
    return (*(block.name for block in trunk(network)), *heads)


def select_blocks(network: Network, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the blocks that `names` select: names of blocks or stages, or `trunk`."""
    selected = set(names)
    return tuple(
        block
        for block, selectors in _selectors(network)
        if selected.intersection(selectors)
    )


def nearest_numbers(network: Network, numbers: Mapping[str, float]) -> dict[str, float]:
    """Returns the numbers by block, for the blocks that have a number.

    The number of a block overrides the number of its stage, and the number of a stage
    overrides the number of `trunk`.
    """
    candidates = {
        block: [numbers[name] for name in names if name in numbers]
        for block, names in _selectors(network)
    }
    return {block: nearest[0] for block, nearest in candidates.items() if nearest}


def without_blocks(tree: dict[str, Any], blocks: Sequence[str]) -> dict[str, Any]:
    """Returns a tree without some blocks."""
    return {name: part for name, part in tree.items() if name not in blocks}


def merge_blocks(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Returns the collections of `after`, with missing blocks taken from `before`."""
    return {name: before[name] | blocks for name, blocks in after.items()}


def block_norms(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Returns the Euclidean norm of each block's arrays, [blocks]; 0 without arrays."""

    def norm(name: str) -> jax.Array:
        squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree.get(name, ()))]
        return jnp.sqrt(sum(squares, start=jnp.zeros(())))

    return jnp.stack([norm(name) for name in blocks])


def blocks_finite(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Returns whether all arrays of each block are finite, bool [blocks]."""

    def is_finite(name: str) -> jax.Array:
        leaves = jax.tree.leaves(tree.get(name, ()))
        return jnp.stack([jnp.array(True), *(jnp.isfinite(x).all() for x in leaves)])

    return jnp.stack([is_finite(name).all() for name in blocks])


def _selectors(network: Network) -> list[tuple[str, tuple[str, ...]]]:
    """Lists the blocks with the names that select them: block, stage, `trunk`."""
    wider = {block.name: (block.stage, 'trunk') for block in trunk(network)}
    return [(name, (name, *wider.get(name, ()))) for name in block_names(network)]
