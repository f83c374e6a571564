"""Rooflines: the least time of a step on a chip, and the largest batch that fits."""

import math
from collections.abc import Callable
from typing import NamedTuple

from inception_jax.speed.costs import Costs


class Chip(NamedTuple):
    """The limits of one device.

    `flops` is FLOP per second in bfloat16 with float32 sums, without sparsity.
    `bandwidth` is bytes per second from and to its memory, `memory` the bytes of that
    memory, and `link` the bytes per second that it sends over all its links.
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

# An assumption: the least time of a collective, in seconds.
LATENCY = 10e-6


class Roofline(NamedTuple):
    """The seconds of a step under each limit alone."""

    arithmetic: float
    memory: float
    messages: float

    @property
    def step(self) -> float:
        """The least seconds of a step, if no message overlaps with computation."""
        return max(self.arithmetic, self.memory) + self.messages


def roofline(costs: Costs, chip: Chip, latency: float = LATENCY) -> Roofline | None:
    """Returns the least seconds of a step, None if `costs` counts one micro-batch.

    Only traffic of main memory counts: XLA's `bytes accessed` includes what stays on
    the chip, and no bound follows from it.

    Every collective runs around a ring of all n devices and takes `latency` seconds in
    addition. An all-reduce sends 2 (n - 1) / n times its bytes over every link, an
    all-gather or reduce-scatter half of that. The result of a reduce-scatter is one
    n-th of what is sent.
    """
    if costs.micro_batches > 1:
        return None
    n = costs.devices
    passes = {'all-reduce': 2, 'reduce-scatter': n}
    sent = sum(
        messages.bytes * passes.get(kind, 1) * (n - 1) / n
        for kind, messages in costs.messages.items()
    )
    count = sum(messages.count for messages in costs.messages.values())
    return Roofline(
        costs.flops / chip.flops,
        costs.main_memory / chip.bandwidth,
        sent / chip.link + count * latency,
    )


def largest_batch(memory_of: Callable[[int], float], limit: float, first: int) -> int:
    """Returns the largest batch per device that fits in `limit` bytes; 0 if none does.

    Args:
      memory_of: maps images per device to bytes, infinity if the compiler refuses. Each
        call is a compilation, so the next size is extrapolated from the last two.
      limit: bytes of the memory of a device.
      first: the smallest batch; the result is a multiple of it.

    >>> largest_batch(lambda images: 100.0 + 10.0 * images, limit=500.0, first=8)
    40
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
    """Returns a size between one that fits and one that does not."""
    measured = sorted(n for n in known if n and math.isfinite(known[n]))
    if len(measured) < 2:
        guess = 2 * good if good else bad // 2
    else:
        low, high = measured[-2:]
        slope = (known[high] - known[low]) / (high - low)
        guess = low + int((limit - known[low]) / slope) if slope > 0 else 2 * good
    return int(min(max(guess, good + 1), bad - 1))
