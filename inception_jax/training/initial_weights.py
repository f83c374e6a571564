"""Initial weights of a run that come from a weight file."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.networks.images import CROP_FIELDS
from inception_jax.networks.network import Network, program, residual_scales
from inception_jax.runtime.messages import warn_once
from inception_jax.steps.by_block import without_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe
from inception_jax.weights import weight_file

HEADS = ('logits', 'auxiliary')

# A network may differ from that of its initial weights in these fields: the data give
# the number of classes, and heads can be new.
MAY_DIFFER = {'auxiliary': None, 'classes': 1, 'input_size': 1}

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
    check_same_network(file_network, network)
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


def check_same_network(file_network: Network, network: Network) -> None:
    """Raises ValueError if weights would compute something else in `network`."""
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
        raise ValueError(
            'the weights of config.recipe.init_from belong to '
            f'{file_network.name} with other blocks than those of {network.name}; name '
            'that network in config.network, with its width, depth and rule'
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


def _check_scales(file_scales: tuple[float, ...], hparams: Hparams) -> None:
    if file_scales and not np.array_equal(
        np.float32(file_scales), hparams.residual_scale
    ):
        raise ValueError(
            'the weights of config.recipe.init_from have the residual scales '
            f'{list(file_scales)}, and the network has others; set '
            'config.hparams.residual_scale to these scales, or to those you choose'
        )
