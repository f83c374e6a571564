"""Checks that a run has enough values and enough steps for its batch statistics."""

from collections.abc import Sequence

from inception_jax.networks.network import Network
from inception_jax.networks.ops import shape_text
from inception_jax.networks.shapes import measure
from inception_jax.runtime.amounts import counted
from inception_jax.steps.by_block import select_blocks

# A run is too short if initial values have a larger share in the running statistics.
MOST_INITIAL = 0.1


def check_batch_norm(network: Network, images: int, frozen: Sequence[str] = ()) -> None:
    """Raises ValueError if batch norm would see a single value per channel.

    The variance of one value is 0, so normalised activations would be constant in
    training, but not in evaluation.

    Args:
      images: the number of images that share batch statistics.
      frozen: the blocks or stages in which batch norm uses stored statistics.

    >>> from inception_jax.networks import conv, network, one
    >>> net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=8)
    >>> check_batch_norm(net, images=1)
    """
    if images > 1:
        return
    for block in measure(network):
        if block.name in select_blocks(network, frozen):
            continue
        for leaf in block.leaves:
            height, width, _ = leaf.output
            if leaf.batch_norm_channels and height * width * images < 2:
                raise ValueError(
                    f'batch norm of {block.name}/{leaf.name} would see one value per '
                    f'channel: {images} image of {shape_text((height, width))} values; '
                    'use 2 or more images for each device and micro-batch '
                    '(config.run.batch_size, recipe.accumulation, '
                    'parallel.batch_norm), or a larger network.input_size'
                )


def initial_share(batch_norm_decay: float, steps: int) -> float:
    """Returns the share of the initial values in the running statistics of a run.

    >>> round(initial_share(0.9997, 60), 2)
    0.98
    """
    return batch_norm_decay**steps


def short_run_note(batch_norm_decay: float, steps: int) -> str | None:
    """Returns a note if a run is too short for its running statistics, else None."""
    share = initial_share(batch_norm_decay, steps)
    if share <= MOST_INITIAL:
        return None
    average = 1 / (1 - batch_norm_decay)
    fitting = max(0.0, 1 - 5 / steps)
    return (
        f'note: batch_norm_decay {batch_norm_decay:g} averages batch statistics over '
        f'about {counted(round(average), "step")}, and the run has {steps:,}: '
        f'evaluation will use statistics that are {100 * share:.0f} % initial values; '
        f'set config.recipe.batch_norm_decay to about {fitting:.2g}, or train longer'
    )
