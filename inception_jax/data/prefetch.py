"""Prefetches items in order, with threads and processes of Grain.

Each item is a function of its number, so that the stream is the same for any number of
threads and processes.
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

# Python code takes a fifth of the time to load a photo, and a process runs one thread
# of Python at a time. So one process cannot keep more cores busy.
CORES_PER_WORKER = 8
# The number of loaded batches that Grain keeps in shared memory for each worker.
READY = 4
SHARED_MEMORY = Path('/dev/shm')
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LostWorker(Exception):
    """A worker process that loads images has ended unexpectedly."""


def cores() -> int:
    """Returns how many cores the CPU affinity and the cgroup let this process use."""
    count = os.cpu_count() or 1
    if hasattr(os, 'sched_getaffinity'):
        count = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        quota, period = map(int, Path('/sys/fs/cgroup/cpu.max').read_text().split())
        count = min(count, math.ceil(quota / period))
    return max(1, count)


def worker_count(workers: int | None, cores: int, batch_bytes: int) -> int:
    """Returns the number of worker processes; 0 means threads of this process.

    `workers` is the user's choice. If it is None, a machine with 16 or more cores gets
    one worker per eight cores. The workers may fill at most half of the free shared
    memory, with `READY` batches of `batch_bytes` each.
    """
    if workers is not None or cores < 2 * CORES_PER_WORKER:
        return workers or 0
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    return min(cores // CORES_PER_WORKER, free // 2 // (READY * batch_bytes))


def thread_count(workers: int) -> int:
    """Returns the number of threads of each process that load batches.

    Each thread holds a whole batch in memory. More threads wait for each other.
    """
    share = cores() // workers if workers else cores()
    return max(1, min(share, CORES_PER_WORKER))


def batches_in_memory(workers: int) -> int:
    """Returns the largest number of training batches that are in memory together."""
    threads = thread_count(workers)
    return workers * (threads + READY) if workers else threads


def load_in_order(
    numbers: range,
    load: Callable[[int], Loaded],
    *,
    threads: int,
    ahead: int = 0,
    workers: int = 0,
) -> Iterator[Loaded]:
    """Yields load(number) for each of the numbers, in their order.

    `threads` threads load one number each, and at least `ahead` numbers in advance.
    With `workers`, each worker process has `threads` threads, loads every
    `workers`-th number, and keeps up to `READY` further results ready.

    Raises:
      LostWorker: while iterating, if a worker process has ended.
    """
    _stop_opencv_threads()
    loaded = grain.MapDataset.range(numbers.start, numbers.stop).map(load)
    loaded = loaded.to_iter_dataset(
        grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(ahead, threads))
    )
    if not workers:
        return iter(loaded)
    # Grain reads absl flags, which no command of this package parses.
    flags.FLAGS.mark_as_parsed()
    options = grain.MultiprocessingOptions(num_workers=workers)
    return _iterate_workers(loaded.mp_prefetch(options, _begin_worker))


def _iterate_workers(loaded: grain.IterDataset) -> Iterator[Loaded]:
    # Grain starts the workers at the first item. They must not receive a signal that is
    # sent to the process group.
    with _blocked_signals():
        rest = iter(loaded)
    try:
        with _blocked_signals():
            first = next(rest)
        yield first
        yield from rest
    except RuntimeError as error:
        if 'Worker process' not in str(error):
            raise
        raise LostWorker(
            f'a process that loads images has ended ({error}); if memory or space in '
            f'{SHARED_MEMORY} ran out, lower config.data.workers, to 0 if needed'
        ) from error
    finally:
        rest.close()


@contextlib.contextmanager
def _blocked_signals() -> Iterator[None]:
    """Blocks signals in this thread, and permanently in processes that it starts."""
    # If the resource tracker started inside the block, it would unblock the signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(index: int, count: int) -> None:
    """Ignores signals, which the parent handles, and ends when the parent ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _stop_opencv_threads()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)


def _stop_opencv_threads() -> None:
    # Grain has a thread for each core; threads of OpenCV would compete with them.
    cv2.setNumThreads(0)
