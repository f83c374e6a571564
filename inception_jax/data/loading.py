"""Rows and batches loaded ahead, in their order: by threads and processes (Grain).

Each is a function of its number, so that what comes is the same for any number of
either.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process

import cv2
import grain
import numpy as np
from absl import flags

from inception_jax.data.example import Unreadable

Loaded = dict[str, np.ndarray]

# Of the time of a photo a fifth is Python's, of which one process does one at a time.
CORES_PER_WORKER = 4


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers_for(cores: int) -> int:
    """Returns how many processes load the batches of a machine; 0: threads suffice."""
    return cores // CORES_PER_WORKER if cores >= 2 * CORES_PER_WORKER else 0


def in_order(
    numbers: range,
    load: Callable[[int], Loaded],
    *,
    ahead: int = 0,
    threads: int | None = None,
    workers: int = 0,
) -> Iterator[Loaded]:
    """Yields load(number) for all numbers, in their order.

    Threads load them, one a core unless given, each one number and all of them at least
    `ahead`. With `workers` the threads are in so many processes, of which each loads
    one number in so many and has one more ready.

    Raises:
      Unreadable: while iterating: a worker has ended.
    """
    _quiet_opencv()
    threads = threads or max(1, cores() // max(1, workers))
    loaded = grain.MapDataset.range(numbers.start, numbers.stop).map(load)
    loaded = loaded.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(ahead, threads))
    )
    if not workers:
        return iter(loaded)
    # Grain asks absl for flags that no command here declares.
    flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers)
    return _told(iter(loaded.mp_prefetch(options, _begin_worker)))


def _told(loaded: Iterator[Loaded]) -> Iterator[Loaded]:
    try:
        yield from loaded
    except RuntimeError as error:
        if 'Worker process' not in str(error):
            raise
        raise Unreadable(
            'a process that loads images has ended; if memory was short, lower '
            f'config.data.workers ({error})'
        ) from error


def _begin_worker(index: int, count: int) -> None:
    """Leaves signals to the process that trains, and ends with it however it ends."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _quiet_opencv()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _quiet_opencv() -> None:
    # The threads are Grain's; OpenCV's own would fight with them for the cores.
    cv2.setNumThreads(0)
