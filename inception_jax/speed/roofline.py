"""From what a step costs to the time that a chip takes for it at least, and to the
largest batch that its memory holds.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from inception_jax.speed.costs import Costs


class Chip(NamedTuple):
    """One device: operations per second in bfloat16 with float32 sums, without
    sparsity; bytes per second from and to its memory; bytes of that; and bytes per
    second that it sends to its neighbours, over all its links.
    """

    flops: float
    bandwidth: float
    memory: float
    link: float


GIB = 2.0**30

# Cloud TPU documentation, system architecture of each version, with links of 45 GB/s
# each way (v5e, v4) or 90; NVIDIA's data sheets of the SXM modules, with NVLink.
CHIPS = {
    'TPU v4': Chip(275e12, 1.2e12, 32 * GIB, 6 * 45e9),
    'TPU v5 lite': Chip(197e12, 819e9, 16 * GIB, 4 * 45e9),
    'TPU v5': Chip(459e12, 2.765e12, 95 * GIB, 6 * 90e9),
    'TPU v6 lite': Chip(918e12, 1.64e12, 32 * GIB, 4 * 90e9),
    'NVIDIA A100-SXM4-80GB': Chip(312e12, 2.039e12, 80e9, 300e9),
    'NVIDIA H100 80GB HBM3': Chip(989e12, 3.35e12, 80e9, 450e9),
    'NVIDIA H200': Chip(989e12, 4.8e12, 141e9, 450e9),
}

# An assumption: what a collective takes however small it is, in seconds.
LATENCY = 10e-6


class Roofline(NamedTuple):
    """Seconds that a step takes at least, if nothing but one limit holds it."""

    arithmetic: float
    memory: float
    messages: float

    @property
    def step(self) -> float:
        """Messages are not hidden behind the rest, which is the careful guess."""
        return max(self.arithmetic, self.memory) + self.messages


def roofline(found: Costs, chip: Chip, latency: float = LATENCY) -> Roofline | None:
    """Returns the times of a step of which each device takes its `found` share.

    None if only one of its micro-batches was counted. Messages are taken as if they
    went around all devices.

    What is summed over n devices goes 2 (n - 1) / n times over every link of a ring,
    and what is gathered or scattered half as often; of what is scattered a device's
    result is one part of n. A collective takes `latency` seconds besides.
    """
    if found.micro_batches > 1:
        return None
    n = found.devices
    passes = {'all-reduce': 2, 'reduce-scatter': n}
    moved = sum(
        m.bytes * passes.get(kind, 1) * (n - 1) / n
        for kind, m in found.messages.items()
    )
    count = sum(m.count for m in found.messages.values())
    return Roofline(
        found.flops / chip.flops,
        found.bytes_accessed / chip.bandwidth,
        moved / chip.link + count * latency,
    )


def largest_batch(memory_of: Callable[[int], float], limit: float, first: int) -> int:
    """Returns the largest batch per device whose memory is at most `limit`; 0 if none.

    `memory_of` tells the bytes that so many images take, infinity where the compiler
    refuses; each call is a compilation, so the next guess is on the straight line of
    the last two. Sizes are multiples of `first`.
    """
    known = {0: 0.0}

    def fits(units: int) -> bool:
        known[units] = memory_of(units * first)
        return known[units] <= limit

    good, bad, guess = 0, math.inf, 1
    while bad - good > 1:
        if fits(guess):
            good = guess
        else:
            bad = guess
        guess = _next(known, limit, good, bad)
    return good * first


def _next(known: dict[int, float], limit: float, good: int, bad: float) -> int:
    """Returns a guess between what fits and what does not."""
    measured = sorted(n for n in known if n and math.isfinite(known[n]))
    if len(measured) < 2:
        guess = 2 * good if good else bad // 2
    else:
        low, high = measured[-2:]
        slope = (known[high] - known[low]) / (high - low)
        guess = low + int((limit - known[low]) / slope) if slope > 0 else 2 * good
    return int(min(max(guess, good + 1), bad - 1))
