"""What ends a run before its last step: SIGINT and SIGTERM, or a word of why."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

SAME_SIGNAL_SECONDS = 1.0


class Stopped(Exception):
    """Something outside ended a run; the text says what, and how to go on."""


@contextlib.contextmanager
def watch_signals() -> Iterator[Callable[[], int | None]]:
    """Catches the first SIGINT or SIGTERM and tells its number; a second one kills.

    One that follows at once is the first again: some launchers, `timeout` among them,
    signal a process and then its group.
    """
    caught, since = [], 0.0

    def catch(number, frame):
        nonlocal since
        if not caught:
            caught.append(number)
            since = time.monotonic()
        elif time.monotonic() - since > SAME_SIGNAL_SECONDS:
            for one, handler in before.items():
                signal.signal(one, handler)
            signal.raise_signal(number)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    for one in before:
        signal.signal(one, catch)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
