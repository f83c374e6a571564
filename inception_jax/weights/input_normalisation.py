"""Weights for images that are normalised by channel, adapted to our pixel range."""

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
    """Returns variables that compute the same for images in the network's pixel range.

    `variables` expect (x - mean) / std by channel, of x from 0 to 1. Both inputs are
    linear in each other, so the first kernel and the mean of its batch norm absorb the
    difference. This is exact because the first convolution has no padding.

    Raises:
      ValueError: the first layer pads its input, or has no batch norm.
    """
    stem = measure(network)[0]
    leaf = stem.leaves[0]
    if leaf.op.padding != 'VALID' or not leaf.batch_norm_channels:
        raise ValueError(
            f'the first layer of {network.name} pads its input, or has no batch norm; '
            'only without padding can it take another normalisation'
        )
    low, high = network.pixel_range
    std = np.asarray(std, float)
    factor = 1 / ((high - low) * std)
    shift = (-low / (high - low) - np.asarray(mean, float)) / std
    params = variables['params'][stem.name][leaf.name]
    statistics = variables['batch_stats'][stem.name][leaf.name]['bn']
    kernel = np.asarray(params['kernel'], float)
    constant = np.einsum('hwio,i->o', kernel, shift)
    kernel = (kernel * factor[:, None]).astype(np.float32)
    norm = {**statistics, 'mean': (statistics['mean'] - constant).astype(np.float32)}
    changes = {'params': {'kernel': kernel}, 'batch_stats': {'bn': norm}}
    return {
        collection: _replace(variables[collection], stem.name, leaf.name, **values)
        for collection, values in changes.items()
    }


def _replace(tree: Mapping, block: str, leaf: str, **values) -> dict[str, Any]:
    """Returns a tree with other values at one leaf."""
    return {**tree, block: {**tree[block], leaf: {**tree[block][leaf], **values}}}
