"""Where each layer of a network stands, for layouts to name it by.

A layout names a layer by its place: the section of the block, the branch and the
position in it. So names follow from the network value, as the layers do.
"""

from collections.abc import Iterator
from typing import NamedTuple

from inception_jax.networks.network import Network
from inception_jax.networks.ops import Chain, Concat, Conv, Dense, Op, Residual
from inception_jax.networks.shapes import Leaf, Measured, measure


class LayerStep(NamedTuple):
    """A turn on the way to a layer: which branch, and which of its ops, from 0 on.

    `length` is the number of ops in the branch, pools included, `ops` what they are.
    """

    branch: int
    position: int
    ops: tuple[Op, ...]

    @property
    def length(self) -> int:
        return len(self.ops)


class LayerPlace(NamedTuple):
    """A layer with weights: a convolution or a dense layer.

    `section` counts the ops with layers of a block that is a chain, `number` the layers
    of the block. `steps` lead from the section through the concatenations to the layer;
    there are none outside of any. `block` and `leaf` give our own name.
    """

    block: str
    stage: str
    section: int
    number: int
    steps: tuple[LayerStep, ...]
    leaf: Leaf

    @property
    def kernel(self) -> str:
        """The window as layouts write it, e.g. 1x7."""
        return 'x'.join(map(str, self.leaf.window))


def network_layers(network: Network) -> Iterator[LayerPlace]:
    """Yields the layers of a network in the order of its walk, the heads last."""
    for block in measure(network):
        yield from _in_block(block)


def _in_block(block: Measured) -> Iterator[LayerPlace]:
    op = block.op.branch if isinstance(block.op, Residual) else block.op
    parts = op.ops if isinstance(op, Chain) else (op,)
    trails = [(at, steps) for at, part in enumerate(parts) for steps in _trails(part)]
    found = [
        (at, steps, leaf)
        for (at, steps), leaf in zip(trails, block.leaves, strict=True)
        if isinstance(leaf.op, Conv | Dense)
    ]
    sections = sorted({at for at, _, _ in found})
    for number, (at, steps, leaf) in enumerate(found):
        section = sections.index(at)
        yield LayerPlace(block.name, block.stage, section, number, steps, leaf)


def _trails(op: Op) -> Iterator[tuple[LayerStep, ...]]:
    """Yields the steps to each leaf of an op, in the order of the walk."""
    match op:
        case Concat():
            for branch, part in enumerate(op.branches):
                ops = part.ops if isinstance(part, Chain) else (part,)
                for position, child in enumerate(ops):
                    for rest in _trails(child):
                        yield (LayerStep(branch, position, ops), *rest)
        case Chain():
            for child in op.ops:
                yield from _trails(child)
        case Residual():
            yield from _trails(op.branch)
        case _:
            yield ()
