"""Quantities of a tree by block: the blocks from the image on, then the heads."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from inception_jax.networks.network import Network, trunk


def names(network: Network) -> tuple[str, ...]:
    """Lists the blocks in the order in which a batch meets them."""
    heads = ('logits', 'auxiliary') if network.auxiliary else ('logits',)
    return (*(block.name for block in trunk(network)), *heads)


def norms(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Returns the Euclidean norm of each block's arrays, [blocks]; 0 without any."""

    def norm(name: str) -> jax.Array:
        squares = [jnp.sum(jnp.square(x)) for x in jax.tree.leaves(tree.get(name, ()))]
        return jnp.sqrt(sum(squares, start=jnp.zeros(())))

    return jnp.stack([norm(name) for name in blocks])


def finite(tree: dict[str, Any], blocks: Sequence[str]) -> jax.Array:
    """Tells for each block whether all its arrays are finite, [blocks]."""

    def is_finite(name: str) -> jax.Array:
        leaves = jax.tree.leaves(tree.get(name, ()))
        return jnp.stack([jnp.array(True), *(jnp.isfinite(x).all() for x in leaves)])

    return jnp.stack([is_finite(name).all() for name in blocks])
