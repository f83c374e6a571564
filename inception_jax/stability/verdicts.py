"""Verdicts: whether a run is alive, dying, dead or diverged.

Section 3.3: "the last layer before the average pooling started to produce only zeros".
A channel of the final feature map is silent in a step if it is zero for the whole
batch. A verdict is a result of a stability study, never an exception:

  alive      none of the following
  dying      at least `dying_share` of the channels have been silent since the onset
  dead       at least `dead_share` of the channels have been silent for `window` steps
             or more; 1.0 means that all channels are silent
  diverged   the loss, a gradient or a batch statistic is not finite. With
             `Recipe.skip_non_finite`, `window` updates in a row are not finite. This
             verdict is final.

`stability.silence` defines onset, death and its confirmation. A network that recovers
is alive again.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from inception_jax.runtime import choices
from inception_jax.stability.silence import Dates, redate

LOST = ('dead', 'diverged')
ACTIONS = ('stop', 'go_on')

# The verdicts on a run that has ended.
FINAL = (*LOST, 'dying', 'alive')

# The order in which verdicts are counted; `failed` and `unfinished` runs have none.
ORDER = (*FINAL, 'failed', 'unfinished')


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The thresholds of verdicts, and the actions on a dead or diverged run.

    Attributes:
      dead_share: the share of silent channels in the final feature map from which on a
        network is dead, above 0 and up to 1.
      dying_share: the share of silent channels in the final feature map from which on a
        network is dying, above 0 and up to `dead_share`.
      window: the number of steps that confirm a death. Shares of silent channels are
        means over a fifth as many steps.
      on_dead: stop ends a run that is dead; go_on trains it to its last step.
      on_diverged: stop ends a run that has diverged; go_on trains it to its last step.

    Raises:
      ValueError: a field is out of its range.

    >>> thresholds = Thresholds(dead_share=1.0, dying_share=0.5, window=2)
    >>> thresholds.end(Verdict('dead')), thresholds.end(Verdict('diverged'))
    (False, True)
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
            choices.check(f'config.verdicts.{name}', getattr(self, name), ACTIONS)

    def end(self, verdict: 'Verdict') -> bool:
        """Returns whether this verdict ends a run before its last step."""
        actions = {'dead': self.on_dead, 'diverged': self.on_diverged}
        return actions.get(verdict.verdict) == 'stop'


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A verdict on a run.

    Attributes:
      verdict: alive, dying, dead or diverged.
      step: the step since which the verdict holds: the onset if dying, the death if
        dead; None for alive.
      trend: the slope of the share of silent channels over the window, in percentage
        points per 100 steps; None before two steps.
      layer: the first tensor that is not finite, or the block that went silent first.
      onset, death, confirmed: the dates of silence (`stability.silence`). A death that
        is not confirmed yet has a date too, while the verdict is still dying.

    >>> print(Verdict('dying', 1200, trend=4.0))
    dying since step 1,200 (silent channels: +4.0 percentage points per 100 steps)
    >>> print(Verdict('dead', 28, onset=12, death=28, confirmed=77))
    dead since step 28 (dying since 12)
    """

    verdict: str = 'alive'
    step: int | None = None
    trend: float | None = None
    layer: str | None = None
    onset: int | None = None
    death: int | None = None
    confirmed: int | None = None

    @property
    def since(self) -> tuple[str, int | None]:
        """The verdict and its step; a run reports them when they change."""
        return self.verdict, self.step

    def __str__(self):
        is_diverged = self.verdict == 'diverged'
        words = [self.verdict]
        if self.step is not None:
            words.append(f'{"at" if is_diverged else "since"} step {self.step:,}')
        if self.verdict == 'dead' and self.onset not in (None, self.death):
            words.append(f'(dying since {self.onset:,})')
        if self.layer:
            kind = 'first not finite' if is_diverged else 'first silent block'
            words.append(f'({kind}: {self.layer})')
        if self.verdict == 'dying' and self.trend is not None:
            points = f'{self.trend:+.1f} percentage points'
            words.append(f'(silent channels: {points} per 100 steps)')
        return ' '.join(words)


@dataclasses.dataclass(frozen=True)
class VerdictState:
    """The state of `judge` between steps.

    Attributes:
      verdict: the current verdict.
      shares: the shares of silent channels in the last steps, at most `window`.
      skipped: the number of updates in a row that were left out.
    """

    verdict: Verdict = Verdict()
    shares: tuple[float, ...] = ()
    skipped: int = 0


@dataclasses.dataclass(frozen=True)
class StepSigns:
    """The signs of one step from which a run is judged.

    Attributes:
      loss: the loss of the step.
      dead_channels: the share of silent channels in the final feature map, from 0 to 1.
      not_finite: the first tensor that is not finite, None if all are finite.
      skipped: whether the update was left out because it is not finite.
    """

    loss: float
    dead_channels: float
    not_finite: str | None = None
    skipped: bool = False


def judge(
    before: VerdictState, step: int, signs: StepSigns, thresholds: Thresholds
) -> VerdictState:
    """Returns the verdict and its state after step number `step`.

    >>> thresholds = Thresholds(dead_share=1.0, dying_share=0.5, window=2)
    >>> state = VerdictState()
    >>> for step in (1, 2, 3):
    ...     signs = StepSigns(loss=2.3, dead_channels=1.0 if step > 1 else 0.0)
    ...     state = judge(state, step, signs, thresholds)
    >>> print(state.verdict)
    dead since step 2
    """
    if before.verdict.verdict == 'diverged':
        return before
    if signs.skipped and before.skipped + 1 < thresholds.window:
        # The share of the step before stands for this one, so that dates count steps.
        shares = (*before.shares, *before.shares[-1:])[-thresholds.window :]
        return VerdictState(before.verdict, shares, before.skipped + 1)
    if signs.not_finite or not math.isfinite(signs.loss):
        return VerdictState(diverged(step, signs.not_finite or 'loss'))
    shares = (*before.shares, signs.dead_channels)[-thresholds.window :]
    verdict = before.verdict
    dates = redate(
        Dates(verdict.onset, verdict.death, verdict.confirmed),
        step,
        shares,
        dying_share=thresholds.dying_share,
        dead_share=thresholds.dead_share,
        window=thresholds.window,
    )
    return VerdictState(_verdict(dates, _trend(shares)), shares)


def judge_records(
    records: Iterable[Mapping[str, Any]], thresholds: Thresholds, *, start: int = 0
) -> VerdictState:
    """Returns the verdict and its state after the train records of a finite run.

    A record holds means over the steps since the record before it, so the dates are
    exact to this interval. Runs of older versions are judged so.

    Args:
      records: train records in order, with `step` and `dead_channels`.
      start: the step before the first record's interval: 0, or the step of a fork.

    >>> alive, silent = {'dead_channels': 0.0}, {'dead_channels': 1.0}
    >>> records = [{'step': 10, **alive}, {'step': 100, **silent}]
    >>> thresholds = Thresholds(dead_share=0.95, dying_share=0.5, window=50)
    >>> print(judge_records(records, thresholds).verdict)
    dead since step 11
    """
    state = VerdictState()
    for record in records:
        signs = StepSigns(loss=0.0, dead_channels=record['dead_channels'])
        for step in range(start + 1, record['step'] + 1):
            state = judge(state, step, signs, thresholds)
        start = record['step']
    return state


def judge_evaluation(
    before: VerdictState, step: int, cross_entropy: float
) -> VerdictState:
    """Returns the verdict and its state after an evaluation at a step.

    A cross-entropy that is not finite means that the run has diverged, unless it had
    diverged before.

    >>> state = VerdictState(diverged(2, 'loss'))
    >>> print(judge_evaluation(state, 8, math.nan).verdict)
    diverged at step 2 (first not finite: loss)
    """
    if math.isfinite(cross_entropy) or before.verdict.verdict == 'diverged':
        return before
    return VerdictState(diverged(step, 'evaluation'))


def diverged(step: int, layer: str) -> Verdict:
    """Returns the verdict diverged, which is final."""
    return Verdict('diverged', step, layer=layer)


def not_finite(
    blocks: Sequence[str], *, finite: Sequence[bool], gradient_norm: Sequence[float]
) -> str | None:
    """Returns the first tensor of a step that is not finite, None if all are finite.

    The forward pass comes first: the first block whose batch statistics are not finite.
    The backward pass follows: the block nearest to the loss whose gradient is not
    finite.
    """
    for name, block_finite in zip(blocks, finite, strict=True):
        if not block_finite:
            return f'batch statistics of {name}'
    for name, norm in reversed(list(zip(blocks, gradient_norm, strict=True))):
        if not math.isfinite(norm):
            return f'gradient of {name}'
    return None


def first_silent(
    records: Sequence[Mapping[str, Any]], thresholds: Thresholds
) -> str | None:
    """Returns the block that went silent first, None if no block is silent now.

    A block is silent if at least `dead_share` of its channels are. Among the blocks
    that are silent in the last record, it is the one that has been silent for the most
    records without a break; among equals, the one nearest to the image.

    Args:
      records: the records of the diagnostics of a run, in order.
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
    first, place = min((since(place), place) for place in range(len(blocks)))
    return blocks[place] if first < len(records) else None


def _verdict(dates: Dates, trend: float | None) -> Verdict:
    if dates.confirmed is not None:
        return Verdict('dead', dates.death, trend, None, *dates)
    if dates.onset is not None:
        return Verdict('dying', dates.onset, trend, None, *dates)
    return Verdict('alive', None, trend)


def _trend(shares: tuple[float, ...]) -> float | None:
    """Returns the least-squares slope, in percentage points per 100 steps."""
    middle = (len(shares) - 1) / 2
    squares = math.fsum((i - middle) ** 2 for i in range(len(shares)))
    if not squares:
        return None
    mean = math.fsum(shares) / len(shares)
    slope = math.fsum((i - middle) * (x - mean) for i, x in enumerate(shares)) / squares
    return 100.0 * 100.0 * slope


def verdict_counts(verdicts: Iterable[str]) -> str:
    """Returns the number of each verdict, as in `2 dead, 1 alive`.

    Verdicts that are followed by more words are counted separately.

    >>> verdict_counts(['alive', 'dead', 'dead', 'dead in 1 of 3 seeds'])
    '2 dead, 1 dead in 1 of 3 seeds, 1 alive'
    """
    counts = Counter(verdicts)
    order = sorted(counts, key=lambda words: (ORDER.index(words.split()[0]), words))
    return ', '.join(f'{counts[words]} {words}' for words in order)
