"""Rows loaded ahead, in their order: by threads, or by processes of their own (Grain).

A row is a function of its number, so that what comes is the same for any number of
either.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process

import cv2
import grain
import numpy as np
from absl import flags

from inception_jax.data.example import Unreadable

Row = dict[str, np.ndarray]

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


def rows(
    numbers: range, load: Callable[[int], Row], *, ahead: int, threads: int | None
) -> grain.IterDataset:
    """Loads rows by threads, one a core unless given, that are `ahead` rows ahead."""
    _quiet_opencv()
    threads = threads or cores()
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(ahead, threads)
    )
    loaded = grain.MapDataset.range(numbers.start, numbers.stop).map(load)
    return loaded.to_iter_dataset(options)


def batches(
    load: Callable[[int], Row],
    *,
    start: int,
    size: int,
    workers: int,
    threads: int | None,
) -> Iterator[Row]:
    """Yields batches of `size` rows for ever, from the batch `start` on.

    Each of the `workers` loads every so-manieth batch, by its share of the threads;
    without any this process does. Then two batches are ahead, else two a worker.

    Raises:
      Unreadable: while iterating: a worker has ended.
    """
    if not workers:
        # Grain refills its buffer only when asked for a row: with two batches, it
        # prepares the next one while the step works on this one.
        numbers = range(start * size, sys.maxsize)
        return iter(rows(numbers, load, ahead=2 * size, threads=threads).batch(size))

    def dealt(number: int) -> Row:
        # Grain gives worker i the numbers i, i + workers, ...
        turn, worker = divmod(number, workers)
        batch, row = divmod(turn, size)
        return load((start + batch * workers + worker) * size + row)

    threads = threads or max(1, cores() // workers)
    loaded = rows(range(sys.maxsize), dealt, ahead=size, threads=threads).batch(size)
    options = grain.MultiprocessingOptions(num_workers=workers)
    # Grain asks absl for flags that no command here declares.
    flags.FLAGS.mark_as_parsed()
    return _told(iter(loaded.mp_prefetch(options, _begin_worker)))


def _told(loaded: Iterator[Row]) -> Iterator[Row]:
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
