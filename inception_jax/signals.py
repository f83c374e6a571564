"""What ends a run before its last step: SIGINT and SIGTERM, or a word of why."""

import contextlib
import signal
from collections.abc import Callable, Iterator


class Stopped(Exception):
    """Something outside ended a run; the text says what, and how to go on."""


@contextlib.contextmanager
def signals() -> Iterator[Callable[[], int | None]]:
    """Catches the first SIGINT or SIGTERM and tells its number; a second one kills."""
    caught = []

    def catch(number, frame):
        caught.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    for one in before:
        signal.signal(one, catch)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
