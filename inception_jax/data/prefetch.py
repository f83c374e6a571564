"""Rows and batches loaded ahead, in their order: by threads and processes (Grain).

Each is a function of its number, so that what comes is the same for any number of
either.
"""

import contextlib
import math
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from multiprocessing import parent_process, resource_tracker
from pathlib import Path

import cv2
import grain
import numpy as np
from absl import flags

Loaded = dict[str, np.ndarray]

# Of the time of a photo a fifth is Python's, of which a process does one at a time:
# more cores it cannot feed.
CORES_PER_WORKER = 8
# Of what a worker has ready Grain keeps so many batches in shared memory.
READY = 4
SHARED_MEMORY = Path('/dev/shm')
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LostWorker(Exception):
    """A process that loads images has ended before its time."""


def cores() -> int:
    """Returns how many cores this process may use, by its affinity and its cgroup."""
    count = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):
        count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = map(int, Path('/sys/fs/cgroup/cpu.max').read_text().split())
        count = min(count, math.ceil(quota / period))
    return max(1, count)


def worker_count(asked: int | None, cores: int, batch_bytes: int) -> int:
    """Returns how many processes load batches; 0 means that threads suffice.

    Unless so many are asked for, there is one for every eight cores of 16 or more, and
    no more than fill half of what is free of the shared memory.
    """
    if asked is not None or cores < 2 * CORES_PER_WORKER:
        return asked or 0
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    return min(cores // CORES_PER_WORKER, free // 2 // (READY * batch_bytes))


def in_order(
    numbers: range,
    load: Callable[[int], Loaded],
    *,
    threads: int,
    ahead: int = 0,
    workers: int = 0,
) -> Iterator[Loaded]:
    """Yields load(number) for all numbers, in their order.

    So many threads load them, each one number and all of them at least `ahead`. With
    `workers` so many threads are in each of these processes, which loads one number in
    so many and has up to `READY` more at hand.

    Raises:
      LostWorker: while iterating: a worker has ended.
    """
    _quiet_opencv()
    loaded = grain.MapDataset.range(numbers.start, numbers.stop).map(load)
    loaded = loaded.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(ahead, threads))
    )
    if not workers:
        return iter(loaded)
    # Grain asks absl for flags that no command here declares.
    flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers)
    return _by_workers(loaded.mp_prefetch(options, _begin_worker))


def _by_workers(loaded: grain.IterDataset) -> Iterator[Loaded]:
    # What starts the workers starts with the first one, and they must not see a signal
    # to the group.
    with _signals_later():
        rest = iter(loaded)
    try:
        with _signals_later():
            first = next(rest)
        yield first
        yield from rest
    except RuntimeError as error:
        if 'Worker process' not in str(error):
            raise
        raise LostWorker(
            f'a process that loads images has ended ({error}); where memory or '
            f'room in {SHARED_MEMORY} was short, lower config.data.workers; 0 needs '
            'none'
        ) from error
    finally:
        rest.close()


@contextlib.contextmanager
def _signals_later() -> Iterator[None]:
    """Holds signals back from this thread, and for good from what it starts."""
    # Once it runs; starting, it would let them through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(index: int, count: int) -> None:
    """Leaves signals to the process that trains, and ends with it however it ends."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _quiet_opencv()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _quiet_opencv() -> None:
    # The threads are Grain's; OpenCV's own would fight with them for the cores.
    cv2.setNumThreads(0)
