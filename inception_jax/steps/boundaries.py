"""Lengths of schedules in epochs, rounded so that rates change at the right update.

A step computes in float32, where 324 / 45 is less than 3 * 2.4, so a staircase of 2.4
epochs would change the rate one update late. Therefore the boundaries are computed here
in float64, in whole updates, and a step gets the float32 numbers that reproduce them.
"""

import math

import numpy as np

# The float32 candidates, as relative distances from the given number.
DISTANCES = 2.0**-24 * np.arange(-16, 5)

# Products such as 2.4 * 45 miss whole numbers by a rounding of float64.
ROUNDING = 1e-12

# The number of periods that are checked.
MOST_PERIODS = 10_000


def staircase_epochs(
    decay_epochs: float, *, epochs: float, steps_per_epoch: float
) -> np.float32:
    """Returns the period of a staircase in epochs, changed by a few roundings.

    Period k begins with the first update at or after k * decay_epochs, if float32 can
    resolve that: up to some million updates.

    >>> period = staircase_epochs(2.4, epochs=50.0, steps_per_epoch=45.0)
    >>> [int(np.float32(updates) / (45 * period)) for updates in (323, 324)]
    [2, 3]
    """
    steps = np.float32(steps_per_epoch)
    periods = np.arange(1, min(epochs / decay_epochs, MOST_PERIODS) + 1)
    first = np.ceil(periods * decay_epochs * steps_per_epoch * (1 - ROUNDING))
    updates = np.concatenate([first - 1, first])
    expected = np.searchsorted(first, updates, side='right')
    tried = np.float32(decay_epochs * (1 + DISTANCES))
    wrong = [
        np.count_nonzero(np.floor(np.float32(updates) / (steps * period)) != expected)
        for period in tried
    ]
    # The middle candidate stays correct if a device rounds divisions differently.
    best = tried[np.equal(wrong, min(wrong))]
    return best[len(best) // 2]


def constant_epochs(epochs: float, *, steps_per_epoch: float) -> np.float32:
    """Returns the length of a constant rate in epochs, changed by a few roundings.

    The constant rate applies to all updates that end at or before this length.

    >>> length = constant_epochs(0.7, steps_per_epoch=10.0)
    >>> [bool(np.float32(updates) / 10 <= length) for updates in (7, 8)]
    [True, False]
    """
    updates = epochs * steps_per_epoch
    after = math.floor(updates * (1 + ROUNDING)) + 1
    length = min(updates * (1 - DISTANCES[0]), (updates + after) / 2)
    return np.float32(length / float(np.float32(steps_per_epoch)))
