"""Confidence intervals of 95 %, and answers with three values.

A study answers `HOLDS` or `FAILS` only if its interval excludes the other answer. All
other answers are `UNDECIDED`: more seeds may decide them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

HOLDS, FAILS = 'holds here', 'does not hold here'
UNDECIDED = 'these runs cannot tell'


class Interval(NamedTuple):
    """An estimate and its confidence interval, infinite for fewer than two pairs."""

    estimate: float
    low: float
    high: float

    def text(self, digits: int = 1) -> str:
        """Returns `-2.1 (-3.0 to -1.2)`; without an interval `-2.1 (one pair)`."""
        if math.isnan(self.estimate):
            return 'unknown (no pair)'
        if not math.isfinite(self.high):
            return f'{self.estimate:.{digits}f} (one pair)'
        numbers = (f'{x:.{digits}f}' for x in self)
        return '{} ({} to {})'.format(*numbers)


def share(events: Sequence[bool]) -> Interval:
    """Returns the share of true events with the interval of Wilson.

    >>> [round(x, 2) for x in share([True, True, True])]
    [1.0, 0.44, 1.0]
    """
    from scipy import stats  # Here, so that --help need not wait for it.

    test = stats.binomtest(sum(events), len(events))
    low, high = test.proportion_ci(0.95, method='wilson')
    return Interval(float(test.statistic), float(low), float(high))


def mean_difference(differences: Sequence[float], *, comparisons: int = 1) -> Interval:
    """Returns the mean of paired differences with the interval of Student's t.

    Args:
      differences: one number for each pair.
      comparisons: how many such intervals hold together with 95 % (Bonferroni).

    >>> [round(x, 2) for x in mean_difference([-1.0, -2.0, -3.0])]
    [-2.0, -4.48, 0.48]
    """
    count = len(differences)
    mean = math.fsum(differences) / count if count else math.nan
    if count < 2:
        return Interval(mean, -math.inf, math.inf)
    from scipy import stats

    error = float(stats.sem(differences))
    reach = error * float(stats.t.ppf(1 - 0.025 / comparisons, count - 1))
    return Interval(mean, mean - reach, mean + reach)


def answer(*, holds: bool, fails: bool) -> str:
    """Returns the answer to a claim from what its interval excludes."""
    if holds:
        return HOLDS
    return FAILS if fails else UNDECIDED
