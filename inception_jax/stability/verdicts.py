"""Whether a run lives: a result of a stability study, never an exception.

Section 3.3: "the last layer before the average pooling started to produce only zeros".
A channel of that grid is silent in a step if it is zero for the whole batch.

  alive      none of the following
  dying      the mean share of silent channels over the last `window` steps is at least
             `dying_share`
  dead       in each of the last `window` steps it was at least `dead_share`; 1.0 asks
             for zeros only
  diverged   the loss, a gradient or a batch statistic is not finite; for good. Where
             such updates are left out (Recipe.skip_non_finite), `window` in a row

The step of a verdict is the first one of its window with so many silent channels. A
network that comes back to life is alive again.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

LOST = ('dead', 'diverged')

# In which order they are counted; the last two are of runs that have no verdict yet.
ORDER = (*LOST, 'dying', 'alive', 'failed', 'unfinished')


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Where a verdict turns: shares of channels from 0 to 1, and a number of steps.

    And what a run does then: `on_dead` and `on_diverged` are stop or go_on.
    """

    dead_share: float
    dying_share: float
    window: int
    on_dead: str = dataclasses.field(
        default='go_on', metadata={'may_change_on_resume': True}
    )
    on_diverged: str = dataclasses.field(
        default='stop', metadata={'may_change_on_resume': True}
    )

    def __post_init__(self):
        if not 0 < self.dying_share <= self.dead_share <= 1:
            raise ValueError(
                f'config.verdicts has dying_share {self.dying_share} and dead_share '
                f'{self.dead_share}; expected 0 < dying_share <= dead_share <= 1'
            )
        if self.window < 1:
            raise ValueError(
                f'config.verdicts.window is {self.window}; expected 1 step or more'
            )
        for name in ('on_dead', 'on_diverged'):
            if getattr(self, name) not in ('stop', 'go_on'):
                raise ValueError(
                    f'config.verdicts.{name} is {getattr(self, name)!r}; expected stop '
                    'or go_on'
                )

    def end(self, verdict: 'Verdict') -> bool:
        """Tells whether a run ends with this verdict, before its last step."""
        actions = {'dead': self.on_dead, 'diverged': self.on_diverged}
        return actions.get(verdict.verdict) == 'stop'


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A verdict, since which step, and where.

    `trend` is the slope of the share of silent channels over the window, in percentage
    points per 100 steps, None before two steps. `layer` is the first tensor that was
    not finite, or the block that went silent first.
    """

    verdict: str = 'alive'
    step: int | None = None
    trend: float | None = None
    layer: str | None = None

    @property
    def since(self) -> tuple[str, int | None]:
        """What a run says once: the verdict and its step, without the trend."""
        return self.verdict, self.step

    def __str__(self):
        words = [self.verdict]
        if self.step is not None:
            words.append(f'since step {self.step:,}')
        if self.layer:
            words.append(f'(first: {self.layer})')
        if self.verdict == 'dying' and self.trend is not None:
            words.append(f'({self.trend:+.1f} points of silent channels per 100 steps)')
        return ' '.join(words)


@dataclasses.dataclass(frozen=True)
class VerdictState:
    """The verdict so far, the shares of silent channels of the last steps, and how many
    updates in a row were left out.
    """

    verdict: Verdict = Verdict()
    shares: tuple[float, ...] = ()
    skipped: int = 0


@dataclasses.dataclass(frozen=True)
class StepSigns:
    """What one step tells: its loss, the share of silent channels of the last grid, and
    the first tensor that is not finite, None if all are; and whether the update was
    left out for that.
    """

    loss: float
    dead_channels: float
    not_finite: str | None = None
    skipped: bool = False


def judge(
    before: VerdictState, step: int, signs: StepSigns, thresholds: Thresholds
) -> VerdictState:
    """Returns the watch after the step number `step`."""
    if before.verdict.verdict == 'diverged':
        return before
    if signs.skipped and before.skipped + 1 < thresholds.window:
        return dataclasses.replace(before, skipped=before.skipped + 1)
    if signs.not_finite or not math.isfinite(signs.loss):
        return VerdictState(diverged(step, signs.not_finite or 'loss'))
    shares = (*before.shares, signs.dead_channels)[-thresholds.window :]
    verdict = _verdict(shares, thresholds)
    since = before.verdict.step
    if verdict != before.verdict.verdict:
        since = _since(verdict, step, shares, thresholds)
    return VerdictState(Verdict(verdict, since, _trend(shares)), shares)


def diverged(step: int, layer: str) -> Verdict:
    """Returns the verdict that no later step revokes."""
    return Verdict('diverged', step, layer=layer)


def not_finite(
    blocks: Sequence[str], *, finite: Sequence[bool], gradient_norm: Sequence[float]
) -> str | None:
    """Names the first tensor of a step that is not finite, None if all are.

    The forward pass comes first: the first block whose batch statistics are not finite.
    Then the backward pass: the block nearest to the loss whose gradient is not.
    """
    for name, good in zip(blocks, finite, strict=True):
        if not good:
            return f'batch statistics of {name}'
    for name, norm in reversed(list(zip(blocks, gradient_norm, strict=True))):
        if not math.isfinite(norm):
            return f'gradient of {name}'
    return None


def first_silent(
    records: Sequence[Mapping[str, Any]], thresholds: Thresholds
) -> str | None:
    """Names the block that went silent first, by the diagnostics of a run.

    Of the blocks that are dead in the last record, it is that whose last stretch of
    dead records began first, and of several the nearest to the image.
    """
    if not records:
        return None

    def since(place: int) -> int:
        count = 0
        for record in reversed(records):
            share = record['dead_channels'][place]
            if share is None or share < thresholds.dead_share:
                break
            count += 1
        return len(records) - count

    blocks = records[-1]['blocks']
    begun = [(since(place), place) for place in range(len(blocks))]
    first, place = min(begun)
    return blocks[place] if first < len(records) else None


def _verdict(shares: tuple[float, ...], thresholds: Thresholds) -> str:
    if len(shares) < thresholds.window:
        return 'alive'
    if min(shares) >= thresholds.dead_share:
        return 'dead'
    mean = math.fsum(shares) / len(shares)
    return 'dying' if mean >= thresholds.dying_share else 'alive'


def _since(
    verdict: str, step: int, shares: tuple[float, ...], thresholds: Thresholds
) -> int | None:
    """Returns the first step of the window that speaks for the verdict."""
    least = {'dead': thresholds.dead_share, 'dying': thresholds.dying_share}
    if verdict not in least:
        return None
    first = next(i for i, share in enumerate(shares) if share >= least[verdict])
    return step - len(shares) + 1 + first


def _trend(shares: tuple[float, ...]) -> float | None:
    """Returns the slope of the line of least squares, in points per 100 steps."""
    middle = (len(shares) - 1) / 2
    squares = math.fsum((i - middle) ** 2 for i in range(len(shares)))
    if not squares:
        return None
    mean = math.fsum(shares) / len(shares)
    slope = math.fsum((i - middle) * (x - mean) for i, x in enumerate(shares)) / squares
    return 100.0 * 100.0 * slope


def verdict_counts(verdicts: Iterable[str]) -> str:
    """Returns how many there are of each, as in `2 dead, 1 alive`.

    What begins with a verdict and says more is counted for itself.
    """
    found = Counter(verdicts)
    order = sorted(found, key=lambda text: (ORDER.index(text.split()[0]), text))
    return ', '.join(f'{found[text]} {text}' for text in order)
