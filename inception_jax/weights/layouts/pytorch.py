"""What state dicts of PyTorch share: how kernels lie, and the names of arrays."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace
from inception_jax.weights.variables import (
    Arrays,
    Entry,
    Layer,
    Names,
    layout_entries,
    read_variables,
    write_variables,
)

NAMES = Names(
    kernel='.conv.weight',
    linear='.weight',
    bias='.bias',
    beta='.bn.bias',
    gamma='.bn.weight',
    mean='.bn.running_mean',
    variance='.bn.running_var',
    axes=(3, 2, 0, 1),
    dense=(1, 0),
)
PARALLEL = 'module.'


def in_branch(place: LayerPlace) -> str:
    """Returns a layer's name in its block: its branch, and where it stands there.

    A branch of one op has no numbers; pools count.
    """
    first, *_ = place.steps
    number = f'.{first.position}' if first.length > 1 else ''
    return f'branch{first.branch}{number}'


def residual_name(
    stem: Sequence[str], blocks: Mapping[str, str], place: LayerPlace
) -> str:
    """Returns the prefix of a layer of a residual network.

    Args:
      stem: the names of the sections of the stem.
      blocks: those of the blocks by stage; repeated ones are numbered from 0.
    """
    if place.stage == 'stem':
        return stem[place.section]
    block = blocks[place.stage]
    if place.block != place.stage:
        block = f'{block}.{int(place.block.rpartition("_")[2]) - 1}'
    if place.steps:
        return f'{block}.{in_branch(place)}'
    return f'{block}.conv2d' if getattr(place.leaf.op, 'linear', False) else block


def read(
    arrays: Arrays, wanted: Sequence[Entry], left_out: tuple[str, ...] = ()
) -> dict:
    """Returns our variables of a state dict.

    Names that begin with one of `left_out` are, and so are the counts of batches.

    Raises:
      ValueError: the arrays are not the network's.
    """

    def ignored(name: str) -> bool:
        return name.endswith('.num_batches_tracked') or name.startswith(left_out)

    return read_variables(plain(arrays), wanted, ignored)


def plain(arrays: Arrays) -> Arrays:
    """Returns arrays without the prefix of all names that DataParallel gives them."""
    if not all(name.startswith(PARALLEL) for name in arrays):
        return arrays
    return {name.removeprefix(PARALLEL): x for name, x in arrays.items()}


def write(variables: Mapping, wanted: Sequence[Entry]) -> dict[str, np.ndarray]:
    """Returns the state dict of our variables, with the counts of batches at 0."""
    counts = {
        entry.name.replace('.running_var', '.num_batches_tracked'): np.zeros((), int)
        for entry in wanted
        if entry.name.endswith('.running_var')
    }
    return write_variables(variables, wanted) | counts


def entries(network: Network, layers: Iterable[tuple[LayerPlace, str]]) -> list[Entry]:
    """Returns the arrays of layers that are given with their prefixes."""
    found = (Layer(place, prefix, prefix) for place, prefix in layers)
    return layout_entries(network, found, NAMES)
