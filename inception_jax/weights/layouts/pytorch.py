"""The conventions that PyTorch's state dicts share: kernel axes and array names."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from inception_jax.networks.network import Network
from inception_jax.weights.layers import LayerPlace, network_layers
from inception_jax.weights.layouts.layout import Layout
from inception_jax.weights.translation import ArrayEntry, ArrayNames, Arrays, NamedLayer

NAMES = ArrayNames(
    kernel='.conv.weight',
    linear='.weight',
    bias='.bias',
    beta='.bn.bias',
    gamma='.bn.weight',
    mean='.bn.running_mean',
    variance='.bn.running_var',
    axes=(3, 2, 0, 1),
    dense=(1, 0),
    counter='.bn.num_batches_tracked',
)


def pytorch_layout(
    library: str,
    networks: tuple[str, ...],
    layer_names: Callable[[Network], Callable[[LayerPlace], str]],
    *,
    auxiliary: bool = False,
    fold: Callable[[Arrays, Sequence[ArrayEntry]], Arrays] | None = None,
    is_ignored: Callable[[Network, str], bool] = lambda network, name: False,
) -> Layout:
    """Returns the layout of a library that saves state dicts.

    Args:
      layer_names: maps a network to a function from a layer to its prefix.
      fold: maps (arrays, entries) to arrays with fewer layers, if the library has a
        layer that is folded into another one here.
      is_ignored: see `Layout`.
    """

    def prepare(
        network: Network, arrays: Arrays, entries: Sequence[ArrayEntry]
    ) -> Arrays:
        return fold(arrays, entries) if fold else arrays

    def name_layers(network: Network) -> Iterator[NamedLayer]:
        name = layer_names(network)
        for place in network_layers(network):
            yield NamedLayer(place, name(place), name(place))

    return Layout(library, networks, auxiliary, NAMES, name_layers, prepare, is_ignored)


def branch_name(place: LayerPlace) -> str:
    """Returns the name of a layer in its block: its branch and its position there.

    Positions count pools. A branch of a single op has no positions.
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
      blocks: the names of blocks by stage; repeated blocks are numbered from 0.
    """
    if place.stage == 'stem':
        return stem[place.section]
    block = blocks[place.stage]
    if place.block != place.stage:
        block = f'{block}.{int(place.block.rpartition("_")[2]) - 1}'
    if place.steps:
        return f'{block}.{branch_name(place)}'
    return f'{block}.conv2d' if getattr(place.leaf.op, 'linear', False) else block
