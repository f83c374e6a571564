"""One run on several processes: each has a part of every batch, the first one writes.

They make the same steps and must agree on what else to do, and when.
"""

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from inception_jax.runtime.signals import watch_signals

# Asks all processes whether to stop: after a step, for which signal, None to go on.
Stop = Callable[[int], int | None]


def is_first() -> bool:
    """Tells whether this process writes what is written once."""
    return jax.process_index() == 0


def process_shard() -> tuple[int, int]:
    """Returns which part of every batch is this process's: i of n."""
    return jax.process_index(), jax.process_count()


def agree(number: int) -> int:
    """Returns what the first process says; all must ask at the same time."""
    if jax.process_count() == 1:
        return number
    return int(multihost_utils.broadcast_one_to_all(np.array(number, np.int32)))


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Catches signals; yields what tells of them, at the same step in all processes.

    SIGINT and SIGTERM are meant. With several processes one of them is enough, and JAX
    passes it on as it does a cluster's notice of preemption.
    """
    if jax.process_count() == 1:
        with watch_signals() as caught:
            yield lambda step: caught()
        return
    found = []

    def stop(step: int) -> int | None:
        if not found and multihost_utils.reached_preemption_sync_point(step):
            found.append(signal.SIGTERM)
        return found[0] if found else None

    # JAX listens to SIGTERM alone.
    before = signal.signal(
        signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM)
    )
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def failing_together(status: int, *told: type[Exception]) -> Iterator[None]:
    """Ends one of several processes at once, and so all, where it cannot go on.

    Whatever would be closed in good order would wait for the others. Errors of the
    kinds `told` are a line, others of ours a traceback.
    """
    try:
        yield
    except Exception as error:
        name = _name()
        if name is None:
            raise
        if isinstance(error, told):
            text = ' '.join(str(error).split())
        elif isinstance(error, jax.errors.JaxRuntimeError):
            first = str(error).splitlines()[0][:200]
            text = (
                f'a step failed, as it does where it has lost another one ({first}); '
                'see why it ended, then start all again: the run goes on from its last '
                'checkpoint'
            )
        else:
            text = traceback.format_exc()
        print(f'{name}: {text}', file=sys.stderr, flush=True)
        os._exit(status)


def _name() -> str | None:
    """Returns the name of this process in messages, None where it is alone."""
    if not jax.distributed.is_initialized():
        return None
    try:
        index, count = process_shard()
    except (RuntimeError, AssertionError):  # As where devices are asked for.
        return 'a process'  # JAX counts them when its devices start, and they cannot.
    return f'process {index} of {count}' if count > 1 else None
