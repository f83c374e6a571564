"""The dates of silence: when the channels of a network began to be zero, and stayed so.

The share of silent channels fluctuates from step to step, so the dates belong to its
mean over the last few steps, a fifth of `Thresholds.window`:

  onset      the mean reached `dying_share`
  death      the mean reached `dead_share`
  confirmed  `window` steps have passed since the death

Onset and death are dated back to the first of these few steps whose share reaches the
threshold by itself. A date never changes while its stretch lasts. A stretch ends when
the mean falls more than `RECOVERY` below its threshold: a network that was dead at a
`dead_share` of 0.95 is no longer dead below 0.90.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

# How far the mean share must fall below a threshold before the stretch ends.
RECOVERY = 0.05


class Dates(NamedTuple):
    """The steps at which the present stretches of silence began, None without one.

    Attributes:
      onset: the first step with at least `dying_share` silent channels.
      death: the first step with at least `dead_share` silent channels.
      confirmed: the step at which the death had lasted for `window` steps.
    """

    onset: int | None = None
    death: int | None = None
    confirmed: int | None = None


def redate(
    before: Dates,
    step: int,
    shares: Sequence[float],
    *,
    dying_share: float,
    dead_share: float,
    window: int,
) -> Dates:
    """Returns the dates after step number `step`.

    Args:
      before: the dates after the step before.
      shares: the shares of silent channels in the last steps, from 0 to 1; the last one
        is that of `step`. Only a fifth of `window` is read.

    A network whose channels are silent from step 30 on, with one step at 0.949:

    >>> shares, dates = [0.0] * 29 + [0.97] * 170 + [0.949] + [0.97] * 100, Dates()
    >>> for step in range(1, 301):
    ...     dates = redate(
    ...         dates, step, shares[:step], dying_share=0.5, dead_share=0.95, window=50
    ...     )
    >>> dates
    Dates(onset=30, death=30, confirmed=79)
    """
    recent = shares[-max(1, window // 5) :]
    is_full = len(recent) == max(1, window // 5)
    mean = math.fsum(recent) / len(recent)

    def stretch(date: int | None, threshold: float) -> int | None:
        if date is not None:
            return date if mean >= threshold - RECOVERY else None
        if not is_full or mean < threshold:
            return None
        first = next(i for i, share in enumerate(recent) if share >= threshold)
        return step - len(recent) + 1 + first

    onset = stretch(before.onset, dying_share)
    death = stretch(before.death, dead_share)
    if death is None:
        return Dates(onset)
    is_confirmed = before.confirmed is None and step - death + 1 >= window
    return Dates(onset, death, step if is_confirmed else before.confirmed)
