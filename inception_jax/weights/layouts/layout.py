"""The layout of a library as a value: the names of its layers and of their arrays."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from inception_jax.networks.network import Network
from inception_jax.weights.translation import (
    ArrayEntry,
    ArrayNames,
    Arrays,
    NamedLayer,
    layout_entries,
    read_variables,
    write_variables,
)


def _unchanged(
    network: Network, arrays: Arrays, entries: Sequence[ArrayEntry]
) -> Arrays:
    return arrays


def _never(network: Network, name: str) -> bool:
    return False


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a library names and stores the arrays of its networks.

    Attributes:
      library: the name of the library in messages.
      networks: the names of our networks that the library has.
      auxiliary: whether the library can have the auxiliary head.
      names: the names of the arrays of a layer.
      name_layers: maps a network to its layers with their prefixes, in the order of
        `network_layers`.
      prepare: maps (network, arrays of a file, entries) to arrays that the entries
        describe, e.g. without the prefix of a wrapper.
      is_ignored: maps (network, name) to whether an array of a file that no entry names
        is left out on purpose.
    """

    library: str
    networks: tuple[str, ...]
    auxiliary: bool
    names: ArrayNames
    name_layers: Callable[[Network], Iterable[NamedLayer]]
    prepare: Callable[[Network, Arrays, Sequence[ArrayEntry]], Arrays] = _unchanged
    is_ignored: Callable[[Network, str], bool] = _never

    def layers(self, network: Network) -> list[NamedLayer]:
        """Returns the layers of a network with their prefixes.

        Raises:
          ValueError: the library has no such network.
        """
        known = network.name in self.networks
        if not known or (network.auxiliary and not self.auxiliary):
            head = ' with an auxiliary head' if known else ''
            without = '' if self.auxiliary else ' without auxiliary heads'
            raise ValueError(
                f'{self.library} has no {network.name}{head}; it has '
                f'{", ".join(self.networks)}{without}'
            )
        return list(self.name_layers(network))

    def entries(self, network: Network) -> list[ArrayEntry]:
        """Returns the arrays of a network in this layout.

        Raises:
          ValueError: the library has no such network.
        """
        return layout_entries(network, self.layers(network), self.names)

    def variables(self, network: Network, arrays: Arrays) -> dict[str, Any]:
        """Returns the variables of a network, float32, from the arrays of a file.

        Raises:
          ValueError: the library has no such network, or the arrays belong to
            another network.
        """
        entries = self.entries(network)
        arrays = self.prepare(network, arrays, entries)
        return read_variables(
            arrays, entries, functools.partial(self._is_ignored, network)
        )

    def trunk_variables(
        self, network: Network, arrays: Arrays
    ) -> tuple[dict[str, Any], list[str]]:
        """Returns the variables of a network without its head.

        Also returns the names of the arrays that are left out: those of the file's
        head.

        Raises:
          ValueError: the library has no such network, or arrays of the trunk are
            missing or have another shape or type.
        """
        entries = self.entries(network)
        trunk = [entry for entry in entries if entry.path[1] != 'logits']
        arrays = self.prepare(network, arrays, entries)
        names = {entry.name for entry in trunk}
        left_out = [
            name
            for name in arrays
            if name not in names and not self._is_ignored(network, name)
        ]
        return read_variables(arrays, trunk, lambda name: True), left_out

    def lacks_only_head(self, network: Network, arrays: Arrays) -> bool:
        """Returns whether a file has the arrays of a network, but not those of its head
        in their shapes.
        """
        entries = self.entries(network)
        arrays = self.prepare(network, arrays, entries)
        absent = [
            entry.path[1]
            for entry in entries
            if entry.name not in arrays
            or (entry.path[1] == 'logits' and arrays[entry.name].shape != entry.shape)
        ]
        return set(absent) == {'logits'}

    def _is_ignored(self, network: Network, name: str) -> bool:
        counter = self.names.counter
        counts = counter is not None and name.endswith(counter)
        return counts or self.is_ignored(network, name)

    def arrays(
        self, network: Network, variables: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """Returns the arrays of a file of this layout, by name.

        Gammas are 1 if the network has none, and counters of batches are 0.

        Raises:
          ValueError: the library has no such network.
        """
        entries, names = self.entries(network), self.names
        counters = {
            entry.name.removesuffix(names.variance) + names.counter: np.zeros((), int)
            for entry in entries
            if names.counter and entry.name.endswith(names.variance)
        }
        return write_variables(variables, entries) | counters
