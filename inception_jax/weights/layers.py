"""The place of each layer in a network, from which a layout derives its name.

A place is the section of the block, the branch, and the position in the branch. So the
names of a layout follow from the network value, as the layers do.
"""

from collections.abc import Iterator
from typing import NamedTuple

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Chain, Concat, Conv, Dense, Op, Residual
from inception_jax.networks.shapes import Leaf, Measured, measure


class LayerStep(NamedTuple):
    """A step on the path to a layer: a branch of a concatenation and an op in it.

    Both count from 0. `ops` are all ops of the branch, pools included.
    """

    branch: int
    position: int
    ops: tuple[Op, ...]

    @property
    def length(self) -> int:
        """The number of ops in the branch."""
        return len(self.ops)


class LayerPlace(NamedTuple):
    """A layer with weights, a convolution or a dense layer, and its place.

    `section` counts the parts of a block that have layers, if the block is a chain.
    `number` counts the layers of the block. `steps` lead from the section through
    concatenations to the layer; outside concatenations there are none. `block` and
    `leaf.name` are our own name of the layer.
    """

    block: str
    stage: str
    section: int
    number: int
    steps: tuple[LayerStep, ...]
    leaf: Leaf

    @property
    def kernel(self) -> str:
        """The size of the kernel as layouts write it, e.g. 1x7."""
        return 'x'.join(map(str, self.leaf.window))


def network_layers(network: Network) -> Iterator[LayerPlace]:
    """Yields the layers of a network from the image to the logits, then the head."""
    for block in measure(network):
        yield from _block_layers(block)


def _block_layers(block: Measured) -> Iterator[LayerPlace]:
    op = block.op.branch if isinstance(block.op, Residual) else block.op
    parts = op.ops if isinstance(op, Chain) else (op,)
    paths = [(part, steps) for part, op in enumerate(parts) for steps in _paths(op)]
    layers = [
        (part, steps, leaf)
        for (part, steps), leaf in zip(paths, block.leaves, strict=True)
        if isinstance(leaf.op, Conv | Dense)
    ]
    sections = sorted({part for part, _, _ in layers})
    for number, (part, steps, leaf) in enumerate(layers):
        section = sections.index(part)
        yield LayerPlace(block.name, block.stage, section, number, steps, leaf)


def _paths(op: Op) -> Iterator[tuple[LayerStep, ...]]:
    """Yields the steps to each leaf of an op, in the order of `Measured.leaves`."""
    match op:
        case Concat():
            for branch, part in enumerate(op.branches):
                ops = part.ops if isinstance(part, Chain) else (part,)
                for position, child in enumerate(ops):
                    for steps in _paths(child):
                        yield (LayerStep(branch, position, ops), *steps)
        case Chain():
            for child in op.ops:
                yield from _paths(child)
        case Residual():
            yield from _paths(op.branch)
        case _:
            yield ()
