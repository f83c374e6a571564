"""From the seconds of rounds to rates, shares and ratios, each with its spread."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.speed.sides import Comparison, SideTimes

# A multiply-add is two operations. Training takes the forward pass, and the gradients
# of inputs and of kernels, each as large.
OPERATIONS = {'forward': 2, 'train': 6}


class Spread(NamedTuple):
    """A quantity over rounds."""

    median: float
    least: float
    greatest: float


def spread_of(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def forward_macs(network: Network, part: str) -> int:
    """Returns multiply-adds of one image, forward; an auxiliary head only trains."""
    return sum(
        block.total('macs')
        for block in measure(network)
        if part == 'train' or block.name != 'auxiliary'
    )


def rates(found: SideTimes, batch_size: int) -> list[float]:
    """Returns images per second, by round."""
    return [batch_size * found.count / seconds for seconds in found.seconds]


def side_figures(
    found: SideTimes, network: Network, part: str, batch_size: int
) -> dict:
    """Returns what is told of a side that ran a network."""
    by_round = rates(found, batch_size)
    operations = OPERATIONS[part] * forward_macs(network, part)
    reached = [operations * rate for rate in by_round]
    shares = [a / b for a, b in zip(reached, found.matmul, strict=True)]
    return {
        'images_per_second': spread_of(by_round)._asdict(),
        'flops_per_second': spread_of(reached)._asdict(),
        'share_of_matmul': spread_of(shares)._asdict(),
        'flops_per_image': operations,
        'steps_of_a_round': found.count,
        'seconds_of_rounds': found.seconds,
        **found.memory,
        **found.built,
    }


def part_figures(
    name: str, asked: Comparison, found: dict[str, SideTimes], twin: Network | None
):
    """Returns what is told of a part: of each side, and their ratio if there are two.

    The `twin` is the network of ours that computes what the peer's does.
    """
    batch_size = asked.batch_size
    told = {
        'matmul_flops_per_second': spread_of(found['ours'].matmul)._asdict(),
        'ours': side_figures(found['ours'], asked.network, name, batch_size),
    }
    if not asked.against:
        return told
    theirs = found[asked.against.name]
    pairs = zip(
        rates(found['ours'], batch_size), rates(theirs, batch_size), strict=True
    )
    ratios = [ours / peer for ours, peer in pairs]
    return told | {
        'peer': side_figures(theirs, twin, name, batch_size),
        'ratio': spread_of(ratios)._asdict() | {'rounds': ratios},
    }
