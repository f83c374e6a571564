"""The report of a comparison: rates, shares and ratios, each with its spread."""

import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.speed.comparison import Comparison, SideTimes

# A multiply-add is two operations. Training takes the forward pass and the gradients of
# inputs and of kernels, each as large as the forward pass.
OPERATIONS = {'forward': 2, 'train': 6}


class Spread(NamedTuple):
    """The median and the range of a quantity over rounds."""

    median: float
    least: float
    greatest: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def forward_macs(network: Network, part: str) -> int:
    """Returns the multiply-adds of the forward pass of one image in a part.

    The auxiliary head counts in `train` only.
    """
    return sum(
        block.total('macs')
        for block in measure(network)
        if part == 'train' or block.name != 'auxiliary'
    )


def images_per_second(times: SideTimes, batch_size: int) -> list[float]:
    """Returns the rate of each round."""
    return [batch_size * times.count / seconds for seconds in times.seconds]


def comparison_report(
    comparison: Comparison,
    device: Mapping[str, Any],
    parts: Mapping[str, Mapping[str, SideTimes]],
) -> dict[str, Any]:
    """Returns the conditions of a comparison and its measurements, as JSON values.

    `device` is the result of `find_devices`, `parts` that of `measure_parts`.
    """
    network, twin, chosen = comparison.network, comparison.twin, comparison.chosen
    report = {
        'network': chosen['name'],
        'width': chosen['width'],
        'depth': chosen['depth'],
        'auxiliary': network.auxiliary is not None,
        'input_size': network.input_size,
        'classes': network.classes,
        'batch_size': comparison.batch_size,
        **comparison.recipe,
        'macs': forward_macs(network, 'forward'),
        'cores': _cores(),
    }
    if twin:
        macs = forward_macs(twin, 'forward')
        report |= {
            'against': comparison.against.name,
            'peer_network': comparison.against.relative.name,
            'peer_macs': macs,
            'same_network': macs == report['macs'],
        }
    by_part = {part: part_report(part, comparison, s) for part, s in parts.items()}
    return report | {'device': device, 'parts': by_part}


def part_report(
    part: str, comparison: Comparison, sides: Mapping[str, SideTimes]
) -> dict[str, Any]:
    """Returns the figures of each side in a part, and the ratio ours / peer."""
    batch_size, against = comparison.batch_size, comparison.against
    ours = sides['ours']
    report = {
        'matmul_flops_per_second': spread(ours.matmul)._asdict(),
        'ours': side_report(ours, comparison.network, part, batch_size),
    }
    if not against:
        return report
    peer = sides[against.name]
    rates = (images_per_second(times, batch_size) for times in (ours, peer))
    ratios = [our_rate / peer_rate for our_rate, peer_rate in zip(*rates, strict=True)]
    return report | {
        'peer': side_report(peer, comparison.twin, part, batch_size),
        'ratio': spread(ratios)._asdict() | {'rounds': ratios},
    }


def side_report(
    times: SideTimes, network: Network, part: str, batch_size: int
) -> dict[str, Any]:
    """Returns the figures of a side that ran a network.

    `share_of_matmul` is the rate of operations as a share of that of the product of
    matrices in the same round.
    """
    rates = images_per_second(times, batch_size)
    operations = OPERATIONS[part] * forward_macs(network, part)
    flops = [operations * rate for rate in rates]
    shares = [rate / matmul for rate, matmul in zip(flops, times.matmul, strict=True)]
    return {
        'images_per_second': spread(rates)._asdict(),
        'flops_per_second': spread(flops)._asdict(),
        'share_of_matmul': spread(shares)._asdict(),
        'flops_per_image': operations,
        'steps_of_a_round': times.count,
        'seconds_of_rounds': times.seconds,
        **times.memory,
        **times.built,
    }


def _cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
