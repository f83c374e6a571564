"""The progress of a training run on the screen: a bar or lines."""

import sys
import time
from typing import Any

import jax
from tqdm import tqdm

from inception_jax.runtime.memory import COMPILED


class ProgressBar:
    """A bar with the rate and the time left on a terminal, plain lines elsewhere.

    Rates leave out the first step, which compiles, and the time between a record and
    `restart`. The time to the first step counts from `began` by the monotonic clock, by
    default from now. Without `lines` only the bar is shown.
    """

    def __init__(
        self,
        total: int,
        done: int,
        images_per_step: int,
        *,
        lines: bool,
        began: float | None = None,
    ):
        self._bar = tqdm(
            total=total * images_per_step,
            initial=done * images_per_step,
            unit=' images',
            unit_scale=True,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self._images, self._left = images_per_step, total - done
        self._lines = lines
        self._compiled, self._compiling = False, 0.0
        self.restart()
        self._began = self._restarted if began is None else began
        jax.monitoring.register_event_duration_secs_listener(self._listen)

    def before_step(self) -> None:
        """Announces the compilation before the first step."""
        if not self._compiled:
            self.say('compiling the train step ...')
            self._compiling = 0.0

    def after_step(self, metrics: Any) -> None:
        """Counts a step; waits for the metrics of the first step only."""
        self._bar.update(self._images)
        self._left -= 1
        if self._compiled:
            self._steps += 1
            return
        jax.block_until_ready(metrics)
        self.say(
            f'first step after {time.monotonic() - self._began:.1f} s '
            f'(compiled in {self._compiling:.1f} s)'
        )
        self._compiled = True
        self.restart()

    def _listen(self, event: str, seconds: float, **_: Any) -> None:
        if event == COMPILED:
            self._compiling += seconds

    def restart(self) -> None:
        """Measures the rate from now on."""
        self._steps, self._restarted = 0, time.monotonic()

    def rate(self) -> dict[str, float]:
        """Returns images per second and seconds left, nothing before the second step.

        Both count from the last `restart`.
        """
        if not self._steps:
            return {}
        seconds_per_step = (time.monotonic() - self._restarted) / self._steps
        return {
            'images_per_second': self._images / seconds_per_step,
            'seconds_left': seconds_per_step * self._left,
        }

    def say(self, line: str) -> None:
        """Prints a line without breaking the bar."""
        if self._lines:
            self._bar.write(line)

    def close(self) -> None:
        jax.monitoring.unregister_event_duration_listener(self._listen)
        self._bar.close()
