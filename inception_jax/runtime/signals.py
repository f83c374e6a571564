"""The end of a run before its last step: SIGINT, SIGTERM, or a failure from outside."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

HANDLED = (signal.SIGINT, signal.SIGTERM)
SAME_SIGNAL_SECONDS = 1.0

# The time of the signal that `watch_signals` has caught, by the monotonic clock.
_caught_at: list[float] = []


class Stopped(Exception):
    """A failure outside the program ended the work.

    The message is one line: what failed, and how to resume.
    """


@contextlib.contextmanager
def watch_signals() -> Iterator[Callable[[], int | None]]:
    """Catches the first SIGINT or SIGTERM; a second one kills the process.

    Yields a function that returns the number of the caught signal, or None. A signal
    within `SAME_SIGNAL_SECONDS` of the first is ignored as a repetition: some
    launchers, `timeout` among them, signal a process and then its group.
    """
    caught, since = [], 0.0

    def catch(number, frame):
        nonlocal since
        if not caught:
            caught.append(number)
            since = time.monotonic()
            _caught_at[:] = [since]
        elif time.monotonic() - since > SAME_SIGNAL_SECONDS:
            restore_handlers()
            signal.raise_signal(number)

    def restore_handlers():
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.getsignal(number) for number in HANDLED}
    for number in before:
        signal.signal(number, catch)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        restore_handlers()
        _caught_at.clear()


def seconds_since_signal() -> float:
    """Returns the seconds since `watch_signals` caught a signal, 0 without a signal.

    Any thread may call it. A long piece of work asks it, in order to end early.
    """
    return time.monotonic() - _caught_at[0] if _caught_at else 0.0
