"""Initial weights of a run that come from a weight file."""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.networks.images import CROP_FIELDS
from inception_jax.networks.network import Network, program, residual_scales
from inception_jax.networks.shapes import Measured, measure
from inception_jax.runtime.messages import warn_once
from inception_jax.steps.by_block import without_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe
from inception_jax.weights import weight_file

HEADS = ('logits', 'auxiliary')

# A network may differ from that of its initial weights in these fields: the data give
# the number of classes, and heads can be new.
MAY_DIFFER = {'auxiliary': None, 'classes': 1, 'input_size': 1}

# The fields of a config's network that change its blocks, with their defaults.
BLOCKS = {
    'name': '',
    'width': 1.0,
    'depth': 1.0,
    'rule': None,
    'extra_batch_norm': False,
}

# These fields must agree, for the weights compute something else with other values.
MUST_AGREE = ('pixel_range', 'batch_norm_gamma', 'batch_norm_epsilon')


def check_initial_weights(
    recipe: Recipe,
    network: Network,
    name: str,
    hparams: Hparams,
    class_names: tuple[str, ...],
    *,
    scales_of_network: bool,
) -> str:
    """Returns the SHA-256 of the weight file `recipe.init_from` after checking it.

    Args:
      name: the name of the network in the config; a weight file may hold that name.
      scales_of_network: whether the config leaves the residual scales to the network.

    Raises:
      ValueError: there is no such file, or it has another network, other residual
        scales or other classes.
    """
    file = weight_file.find_weights(Path(recipe.init_from))
    file_network = weight_file.weight_network(
        file, name if ':' in file.info.network['name'] else None
    )
    check_same_network(file_network, network, file.info.network)
    if scales_of_network:
        scales = file.info.residual_scale or residual_scales(file_network)
        _check_scales(scales, hparams)
    file_classes = file.info.classes
    if not (file_classes or recipe.new_head):
        raise ValueError(
            'the weights of config.recipe.init_from have no head; set '
            'config.recipe.new_head=true'
        )
    if file_classes != class_names and not recipe.new_head:
        raise ValueError(
            f'the weights of config.recipe.init_from have {len(file_classes):,} '
            f'classes ({file_classes[0]}, ...), and the data have '
            f'{len(class_names):,} ({class_names[0]}, ...); set '
            'config.recipe.new_head=true to start with a new head'
        )
    return file.sha256


def load_initial_weights(
    recipe: Recipe, digest: str, random_variables: dict[str, Any]
) -> dict[str, Any]:
    """Returns the variables before the first step, read from a weight file.

    With `recipe.new_head` the heads keep their random values.

    Raises:
      ValueError: the SHA-256 of the file is not `digest`, or its variables differ.
    """
    file = weight_file.find_weights(Path(recipe.init_from))
    if file.sha256 != digest:
        raise ValueError(
            f'{file.path} is not the file that the run started from (SHA-256 '
            f'{digest}); restore that file'
        )
    heads = HEADS if recipe.new_head else ()
    like = {
        name: without_blocks(tree, heads) for name, tree in random_variables.items()
    }
    loaded = weight_file.load_variables(file, like, left_out=heads)
    return {name: tree | loaded[name] for name, tree in random_variables.items()}


def check_same_network(
    file_network: Network, network: Network, section: Mapping[str, Any] | None = None
) -> None:
    """Raises ValueError if weights would compute something else in `network`.

    Args:
      section: the fields with which the weight file names its network.
    """
    for field in MUST_AGREE:
        expected = getattr(file_network, field)
        if expected != getattr(network, field):
            raise ValueError(
                'the weights of config.recipe.init_from belong to a network with '
                f'{field} {expected}, and this network has {getattr(network, field)}; '
                f'set config.network.{field}={str(expected).replace(" ", "")}'
            )
    programs = {
        program(dataclasses.replace(each, **MAY_DIFFER))
        for each in (file_network, network)
    }
    if len(programs) > 1:
        fields = _fields_of_blocks({'name': file_network.name} | dict(section or {}))
        raise ValueError(
            'the weights of config.recipe.init_from belong to '
            f'{file_network.name} with other blocks than those of {network.name} '
            f'({_block_difference(file_network, network)}); set {fields}'
        )
    different = [
        f'config.network.{field}={getattr(file_network, field)}'
        for field in CROP_FIELDS
        if getattr(file_network, field) != getattr(network, field)
    ]
    if different:
        warn_once(
            'the initial weights were evaluated with other preprocessing: '
            f'{" ".join(different)}'
        )


def _fields_of_blocks(section: Mapping[str, Any]) -> str:
    """Returns the options that give a config the blocks of a weight file."""
    fields = {name: section.get(name, default) for name, default in BLOCKS.items()}
    return ' '.join(
        f'"--config.network.{name}={value}"'
        if isinstance(value, Mapping)
        else f'--config.network.{name}={value}'
        for name, value in fields.items()
        if name in ('width', 'depth') or value != BLOCKS[name]
    )


def _block_difference(file_network: Network, network: Network) -> str:
    """Returns the parameters of two networks and their first difference in words."""
    same = {'auxiliary': None, 'classes': 1, 'input_size': network.input_size}
    file_blocks, blocks = (
        [
            block
            for block in measure(program(dataclasses.replace(each, **same)))
            if block.name not in HEADS
        ]
        for each in (file_network, network)
    )
    counts = [
        sum(block.total('params') for block in each) for each in (file_blocks, blocks)
    ]
    parts = [f'{counts[0]:,} parameters in the trunk, and here {counts[1]:,}']
    pairs = itertools.zip_longest(file_blocks, blocks)
    if pair := next(((old, new) for old, new in pairs if not _is_same(old, new)), None):
        parts.append(_pair_difference(*pair))
    return '; '.join(parts)


def _is_same(block: Measured | None, other: Measured | None) -> bool:
    return bool(block and other) and block[:3] == other[:3]


def _pair_difference(block: Measured | None, other: Measured | None) -> str:
    """Returns in words the difference of two blocks in the same place, or of one."""
    names = [each.name if each else 'no block' for each in (block, other)]
    if names[0] != names[1]:
        return f'first difference: {names[0]}, and here {names[1]}'
    for leaf, other_leaf in zip(block.leaves, other.leaves, strict=False):
        filters = [each.output[2] for each in (leaf, other_leaf)]
        if filters[0] != filters[1]:
            return (
                f'first difference: {names[0]}/{leaf.name} with {filters[0]} filters, '
                f'and here {filters[1]}'
            )
    return f'first difference: the ops of {names[0]}'


def _check_scales(file_scales: tuple[float, ...], hparams: Hparams) -> None:
    if file_scales and not np.array_equal(
        np.float32(file_scales), hparams.residual_scale
    ):
        raise ValueError(
            'the weights of config.recipe.init_from have the residual scales '
            f'{list(file_scales)}, and the network has others; set '
            'config.hparams.residual_scale to these scales, or to those you choose'
        )
