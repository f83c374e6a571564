"""SIGINT and SIGTERM as a request to end well."""

import contextlib
import signal
from collections.abc import Callable, Iterator


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
