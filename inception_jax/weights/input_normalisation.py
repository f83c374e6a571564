"""Weights for images that were normalised channel by channel, for ours instead."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure


def renormalised(
    network: Network,
    variables: Mapping[str, Any],
    mean: Sequence[float],
    std: Sequence[float],
) -> dict[str, Any]:
    """Returns variables that give for images in the network's pixel range the same.

    Theirs are (x - mean) / std of x from 0 to 1, by channel. Both are linear in each
    other, and the first convolution and the mean of its batch norm take the difference:
    exactly, since it has no padding.

    Raises:
      ValueError: the first layer pads its input, or has no batch norm.
    """
    first = measure(network)[0]
    leaf = first.leaves[0]
    if leaf.op.padding != 'VALID' or not leaf.batch_norm_channels:
        raise ValueError(
            f'the first layer of {network.name} pads its input, or has no batch norm; '
            'only without padding can it take another normalisation'
        )
    low, high = network.pixel_range
    std = np.asarray(std, float)
    factor = 1 / ((high - low) * std)
    shift = (-low / (high - low) - np.asarray(mean, float)) / std
    params = variables['params'][first.name][leaf.name]
    seen = variables['batch_stats'][first.name][leaf.name]
    kernel = np.asarray(params['kernel'], float)
    constant = np.einsum('hwio,i->o', kernel, shift)
    kernel = (kernel * factor[:, None]).astype(np.float32)
    moved = (seen['bn']['mean'] - constant).astype(np.float32)
    return {
        'params': _with(variables['params'], first.name, leaf.name, kernel=kernel),
        'batch_stats': _with(
            variables['batch_stats'],
            first.name,
            leaf.name,
            bn={**seen['bn'], 'mean': moved},
        ),
    }


def _with(tree: Mapping, block: str, leaf: str, **values) -> dict[str, Any]:
    """Returns a tree with other values at one leaf."""
    own = {**tree[block], leaf: {**tree[block][leaf], **values}}
    return {**tree, block: own}
