"""Whether a run lives: a result of a stability study, never an exception."""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`alive`, `dead` or `diverged`, and the first step at which it was so.

    Dead: every value of the last grid before the average pool is zero for the whole
    batch (section 3.3), from that step on. Diverged: the loss is not finite.
    """

    verdict: str = 'alive'
    step: int | None = None

    def __str__(self):
        since = '' if self.step is None else f' since step {self.step:,}'
        return self.verdict + since


def judge(before: Verdict, step: int, *, loss: float, zero_share: float) -> Verdict:
    """Returns the verdict after the step number `step`, given that before it."""
    if before.verdict == 'diverged':
        return before
    if not math.isfinite(loss):
        return Verdict('diverged', step)
    if zero_share < 1.0:
        return Verdict()
    return before if before.verdict == 'dead' else Verdict('dead', step)


def judge_evaluation(before: Verdict, record: dict[str, float]) -> Verdict:
    """Returns the verdict after an evaluation, which sees the last update."""
    if before.verdict == 'diverged' or math.isfinite(record['cross_entropy']):
        return before
    return Verdict('diverged', record['step'])
