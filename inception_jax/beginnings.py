"""What a run begins with: drawn values, or those of a file of weights."""

from pathlib import Path
from typing import Any

from inception_jax.by_block import without
from inception_jax.prepare import Prepared
from inception_jax.weights import own

HEADS = ('logits', 'auxiliary')


def begun(p: Prepared, drawn: dict[str, Any]) -> dict[str, Any]:
    """Returns the variables before the first step, from `recipe.init_from` if given.

    With `recipe.new_head` those of the heads are the ones drawn, whatever the file has.

    Raises:
      ValueError: there is no such file, or its variables, pixels or classes are not
        those of the run.
    """
    recipe = p.experiment.recipe
    if recipe.init_from is None:
        return drawn
    path = Path(recipe.init_from)
    about = own.about(path)
    _check(p, about)
    heads = HEADS if recipe.new_head else ()
    like = {name: without(tree, heads) for name, tree in drawn.items()}
    found = own.load(path, about, like, left_out=heads)
    return {name: tree | found[name] for name, tree in drawn.items()}


def _check(p: Prepared, about: own.About) -> None:
    """Raises ValueError where weights know other pixels or classes than a run."""
    pixels = tuple(about.network['pixel_range'])
    if pixels != tuple(p.network.pixel_range):
        raise ValueError(
            f'the weights of config.recipe.init_from see pixels from {pixels[0]:.4g} '
            f'to {pixels[1]:.4g}; set config.network.pixel_range={pixels}'
        )
    names, wanted = about.classes, p.train_source.class_names
    if names != wanted and not p.experiment.recipe.new_head:
        raise ValueError(
            f'the weights of config.recipe.init_from are of {len(names):,} classes '
            f'({names[0]}, ...), and the data have {len(wanted):,} ({wanted[0]}, ...); '
            'set config.recipe.new_head=true to begin with a new head'
        )
