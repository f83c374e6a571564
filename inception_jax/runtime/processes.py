"""One run on several processes: each loads a part of a batch, the first writes files.

All processes compute the same steps. So they must also take every other decision
together, at the same step.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from inception_jax.runtime.connection import Connection, Facts
from inception_jax.runtime.messages import first_line, one_line
from inception_jax.runtime.signals import watch_signals

# The connection to the other processes, once this process has joined them.
_joined: list[Connection] = []

SECONDS_FOR_REASONS = 2.0

# Maps the number of steps made to the signal that stops the run, None to continue.
# All processes get the same answer.
Stop = Callable[[int], int | None]


def is_first() -> bool:
    """Whether this process writes the files and the messages of the run."""
    return jax.process_index() == 0


def process_shard() -> tuple[int, int]:
    """Returns (i, n): this process loads part i of the n parts of every batch."""
    return jax.process_index(), jax.process_count()


def agree(number: int) -> int:
    """Returns the int32 number of the first process; all processes must call it."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.array(number, np.int32)))


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Catches SIGINT and SIGTERM, so that all processes stop at the same step.

    A signal to one of several processes is enough. JAX forwards the signal, like a
    preemption notice of a cluster.
    """
    if jax.process_count() == 1:
        with watch_signals() as caught:
            yield lambda step: caught()
        return
    received = []

    def stop(step: int) -> int | None:
        if not received and multihost_utils.reached_preemption_sync_point(step):
            received.append(signal.SIGTERM)
        return received[0] if received else None

    # JAX listens to SIGTERM alone.
    before = signal.signal(
        signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def failing_together(status: int, *expected: type[Exception]) -> Iterator[None]:
    """Ends this process and all other processes immediately after an error.

    Leaving the context managers around the block would wait for the other processes. In
    a run on a single process, the error is raised. An error of an `expected` type is
    printed as one line, any other error with its traceback.
    """
    try:
        yield
    except Exception as error:
        if not _joined and _process_name() is None:
            raise
        if isinstance(error, expected):
            message = one_line(error)
        elif isinstance(error, jax.errors.JaxRuntimeError):
            # The other process may fail meanwhile, with a message that says more.
            time.sleep(SECONDS_FOR_REASONS)
            message = (
                f'a step failed, probably because another process ended '
                f'({first_line(error)[:200]}); '
                'find out why it ended, then start all processes again: the run '
                'resumes from its last checkpoint'
            )
        else:
            with contextlib.suppress(OSError):  # A log may be on a full disk.
                traceback.print_exc()
            message = f'{type(error).__name__}: {first_line(error)}'
        if _joined:
            _joined[0].fail(status, message)
        with contextlib.suppress(OSError):
            print(f'{_process_name()}: {message}', file=sys.stderr, flush=True)
        os._exit(status)


def join(connection: Connection) -> None:
    """Connects this process to the others, so that all agree, fail and end together."""
    _joined.append(connection)


def leave() -> None:
    """Lets the other processes end after this one without an error."""
    for connection in _joined:
        connection.close()
    _joined.clear()


def agree_on(facts: Facts) -> None:
    """Waits until all processes give the same facts; ends all if they differ.

    Raises:
      ValueError: in the first process, the facts of another process differ.
    """
    for connection in _joined:
        connection.agree_on(facts)


def _process_name() -> str | None:
    """Returns the name of this process for messages, or None if it is the only one."""
    if not jax.distributed.is_initialized():
        return None
    try:
        index, count = process_shard()
    except (RuntimeError, AssertionError):
        # JAX counts processes when its devices start, and the start has failed.
        return 'a process'
    return f'process {index} of {count}' if count > 1 else None
