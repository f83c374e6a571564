"""What people see while a run trains: a bar or lines."""

import sys
import time
from typing import Any

import jax
from tqdm import tqdm

from inception_jax.runtime.memory import COMPILED


class Progress:
    """A bar with rate and time left on a terminal, plain lines elsewhere.

    Rates leave out the first step, which compiles, and all between a record and
    `restart`. What comes before it is counted from `began`, else from now. Without
    `lines` only the bar is shown.
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
        self._start = self._began if began is None else began

    def step(self) -> None:
        """Is told of a step before it is made; the first is silent for long."""
        if not self._compiled:
            self.say('compiling the train step ...')
            jax.monitoring.register_event_duration_secs_listener(self._heard)

    def advance(self, result: Any) -> None:
        """Counts a step; waits for the first one only."""
        self._bar.update(self._images)
        self._left -= 1
        if not self._compiled:
            jax.block_until_ready(result)
            jax.monitoring.unregister_event_duration_listener(self._heard)
            self.say(
                f'first step after {time.monotonic() - self._start:.1f} s '
                f'(compiled in {self._compiling:.1f} s)'
            )
            self._compiled = True
            self.restart()
        else:
            self._steps += 1

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        if event == COMPILED:
            self._compiling += seconds

    def restart(self) -> None:
        self._steps, self._began = 0, time.monotonic()

    def rate(self) -> dict[str, float]:
        """Returns images per second and seconds left, or nothing before two steps."""
        if not self._steps:
            return {}
        each = (time.monotonic() - self._began) / self._steps
        return {
            'images_per_second': self._images / each,
            'seconds_left': each * self._left,
        }

    def say(self, text: str) -> None:
        """Prints a line without breaking the bar."""
        if self._lines:
            self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
