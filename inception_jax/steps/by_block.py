"""Quantities of a tree by block: the blocks from the image on, then the heads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.networks.network import Network, trunk


def block_names(network: Network) -> tuple[str, ...]:
    """Lists the blocks in the order in which a batch meets them."""
    heads = ('logits', 'auxiliary') if network.auxiliary else ('logits',)
    return (*(block.name for block in trunk(network)), *heads)


def select_blocks(network: Network, given: Iterable[str]) -> tuple[str, ...]:
    """Lists the blocks that some names mean: of blocks, of stages, or `trunk`."""
    wanted = set(given)
    return tuple(block for block, own in _names_of(network) if wanted & set(own))


def nearest_numbers(network: Network, numbers: Mapping[str, float]) -> dict[str, float]:
    """Returns the number of each block that has one.

    It stands under the block's own name, else under its stage's, else under `trunk`.
    """
    found = {
        block: [numbers[name] for name in own if name in numbers]
        for block, own in _names_of(network)
    }
    return {block: some[0] for block, some in found.items() if some}


def without_blocks(tree: dict[str, Any], blocks: Sequence[str]) -> dict[str, Any]:
    """Returns a tree less some blocks."""
    return {name: part for name, part in tree.items() if name not in blocks}


def merge_blocks(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Returns the collections of `after` with the blocks that only `before` has."""
    return {name: before[name] | blocks for name, blocks in after.items()}


def block_norms(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Returns the Euclidean norm of each block's arrays, [blocks]; 0 without any."""

    def norm(name: str) -> jax.Array:
        squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree.get(name, ()))]
        return jnp.sqrt(sum(squares, start=jnp.zeros(())))

    return jnp.stack([norm(name) for name in blocks])


def blocks_finite(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Tells for each block whether all its arrays are finite, [blocks]."""

    def is_finite(name: str) -> jax.Array:
        leaves = jax.tree.leaves(tree.get(name, ()))
        return jnp.stack([jnp.array(True), *(jnp.isfinite(x).all() for x in leaves)])

    return jnp.stack([is_finite(name).all() for name in blocks])


def _names_of(network: Network) -> list[tuple[str, tuple[str, ...]]]:
    """Lists the blocks with the names that mean each, from its own to the widest."""
    wider = {block.name: (block.stage, 'trunk') for block in trunk(network)}
    return [(name, (name, *wider.get(name, ()))) for name in block_names(network)]
