"""The training batches of a run."""

from collections.abc import Iterator

import jax
import numpy as np

from inception_jax.data.pipeline import training_batches
from inception_jax.data.prefetch import cores, worker_count
from inception_jax.runtime import processes
from inception_jax.training.prepare import PreparedRun


def batch_stream(
    run: PreparedRun, *, start: int, workers: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the training batches from number `start`, counted from 0.

    The stream is a function of the seed and of `start`. Each process gets its part of
    every batch. `workers` processes load the images; with 0, threads do.
    """
    settings, data = run.experiment.run, run.experiment.data
    return training_batches(
        run.train_source,
        batch_size=settings.batch_size,
        size=run.network.input_size,
        seed=settings.seed,
        area=data.area,
        aspect=data.aspect,
        start=start,
        skip=data.on_unreadable == 'skip',
        shard=processes.process_shard(),
        workers=workers,
    )


def loading_processes(run: PreparedRun) -> int:
    """Returns the number of processes that load the images of a run."""
    images = run.experiment.run.batch_size // jax.process_count()
    batch_bytes = 3 * images * run.network.input_size**2
    return worker_count(run.experiment.data.workers, cores(), batch_bytes)
