"""What a run begins with: drawn values, or those of a weight file."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.networks.network import Network, program, residual_scales
from inception_jax.runtime.messages import warn
from inception_jax.steps.by_block import without_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe
from inception_jax.weights import weight_file

HEADS = ('logits', 'auxiliary')
# What a network may have otherwise than the weights that it begins with: what the
# sources of both tell, and heads.
FREE = {'auxiliary': None, 'classes': 1, 'input_size': 1}
CROP = ('crop_fraction', 'square_crop', 'interpolation')


def check_initial_weights(
    recipe: Recipe,
    network: Network,
    name: str,
    hparams: Hparams,
    class_names: tuple[str, ...],
    *,
    own_scales: bool,
) -> str:
    """Returns the SHA-256 of the weights that a run begins with, after a look at them.

    Args:
      name: that of the network in the config, which a file may name as well.
      own_scales: whether the config leaves the residual scales to the network.

    Raises:
      ValueError: there is no such file, or it is of another network, of other residual
        scales or classes.
    """
    file = weight_file.find_weights(Path(recipe.init_from))
    theirs = weight_file.weight_network(
        file, name if ':' in file.info.network['name'] else None
    )
    _check_network(theirs, network)
    if own_scales:
        _check_scales(file.info.residual_scale or residual_scales(theirs), hparams)
    names = file.info.classes
    if names != class_names and not recipe.new_head:
        raise ValueError(
            f'the weights of config.recipe.init_from are of {len(names):,} classes '
            f'({names[0]}, ...), and the data have {len(class_names):,} '
            f'({class_names[0]}, ...); set config.recipe.new_head=true to begin with a '
            'new head'
        )
    return file.sha256


def load_initial_weights(
    recipe: Recipe, digest: str, drawn: dict[str, Any]
) -> dict[str, Any]:
    """Returns the variables before the first step, those of a weight file.

    With `recipe.new_head` those of the heads are the ones drawn, whatever the file has.

    Raises:
      ValueError: it is not the file of this SHA-256, or has other variables.
    """
    file = weight_file.find_weights(Path(recipe.init_from))
    if file.sha256 != digest:
        raise ValueError(
            f'{file.path} is another file than the one that the run began with '
            f'(SHA-256 {digest}); restore it'
        )
    heads = HEADS if recipe.new_head else ()
    like = {name: without_blocks(tree, heads) for name, tree in drawn.items()}
    found = weight_file.load_variables(file, like, left_out=heads)
    return {name: tree | found[name] for name, tree in drawn.items()}


def _check_network(theirs: Network, ours: Network) -> None:
    """Raises ValueError where weights would compute something else in a network."""
    fields = ('pixel_range', 'batch_norm_gamma', 'batch_norm_epsilon')
    for field in fields:
        wanted = getattr(theirs, field)
        if wanted != getattr(ours, field):
            raise ValueError(
                f'the weights of config.recipe.init_from are of a network with {field} '
                f'{wanted}, and this one has {getattr(ours, field)}; set '
                f'config.network.{field}={str(wanted).replace(" ", "")}'
            )
    plain = (program(dataclasses.replace(n, **FREE)) for n in (theirs, ours))
    if len(set(plain)) > 1:
        raise ValueError(
            f'the weights of config.recipe.init_from are of {theirs.name} with other '
            f'blocks than those of {ours.name}; name it in config.network, with its '
            'width, depth and rule'
        )
    odd = [name for name in CROP if getattr(theirs, name) != getattr(ours, name)]
    if odd:
        fields = ' '.join(
            f'--config.network.{name}={getattr(theirs, name)}' for name in odd
        )
        warn(f'the weights were evaluated otherwise: {fields}')


def _check_scales(theirs: tuple[float, ...], hparams: Hparams) -> None:
    scales = hparams.residual_scale
    if theirs and not np.array_equal(np.float32(theirs), scales):
        raise ValueError(
            f'the weights of config.recipe.init_from have the residual scales '
            f'{list(theirs)}, and the network has others; set '
            'config.hparams.residual_scale to those, or to what you want'
        )
