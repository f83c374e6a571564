"""The speed of the training input: the whole pipeline to the device, and by stage."""

import collections
import contextlib
import functools
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from inception_jax.config.experiment import Experiment
from inception_jax.data.augment import augment
from inception_jax.data.decode import decode
from inception_jax.data.example import Source, read_example
from inception_jax.data.geometry import random_area_crop
from inception_jax.data.pipeline import training_batches
from inception_jax.data.prefetch import cores, worker_count
from inception_jax.data.resize import crop_and_resize
from inception_jax.parallel.mesh import device_mesh, keep_pace, put_batch
from inception_jax.runtime.compiler_options import compiler_options
from inception_jax.runtime.random_numbers import random_key

ROUNDS = 5
IMAGES = 256


class InputSpeed(NamedTuple):
    """The measured speed of an input.

    `stages` has the seconds per image that one thread spends in each stage.
    `one_thread` and `all_cores` are images per second. `device` has the seconds per
    image that a device takes for each level of augmentation.
    """

    cores: int
    workers: int
    stages: dict[str, float]
    one_thread: float
    all_cores: float
    device: dict[str, float]


def measure_input(experiment: Experiment, source: Source, seconds: float) -> InputSpeed:
    """Measures the training input of an experiment on one thread, then on all cores.

    Each takes `seconds` of wall-clock time, so waiting for a disk counts.

    Raises:
      Unreadable: an image cannot be read or decoded, and the config does not skip it.
    """
    data, mesh = experiment.data, device_mesh()
    batch_bytes = 3 * experiment.run.batch_size * experiment.network.input_size**2
    workers = worker_count(data.workers, cores(), batch_bytes)
    rate = functools.partial(_rate, experiment, source, mesh, seconds)
    one_thread, all_cores = rate(threads=1, workers=0), rate(workers=workers)
    stages = _stages(experiment, source)
    rest = max(0.0, 1 / one_thread - sum(stages.values()))
    stages['order, batch, transfer'] = rest
    return InputSpeed(
        cores(), workers, stages, one_thread, all_cores, _device(experiment)
    )


def _rate(
    experiment: Experiment, source: Source, mesh, seconds: float, **options
) -> float:
    """Returns the images per second that reach the idle devices."""
    run, data = experiment.run, experiment.data
    batches = training_batches(
        source,
        batch_size=run.batch_size,
        size=experiment.network.input_size,
        seed=run.seed,
        area=data.area,
        aspect=data.aspect,
        skip=data.on_unreadable == 'skip',
        **options,
    )
    with contextlib.closing(batches):
        placed = []

        def take() -> float:
            placed[:] = [*placed[-2:], put_batch(next(batches), mesh)]
            keep_pace(placed)
            return time.perf_counter()

        # Images prepared before the clock starts come at once: half of the time is left
        # out so that they do not count.
        begun = first = take()
        while first - begun < seconds / 2:
            first = take()
        now, count = first, 0
        while now - first < seconds:
            now, count = take(), count + 1
    return run.batch_size * count / (now - first)


def _stages(experiment: Experiment, source: Source) -> dict[str, float]:
    """Returns the seconds per image of reading, decoding, and crop and resize."""
    spent = collections.defaultdict(list)
    rng = np.random.default_rng(0)
    ranges = {'area': experiment.data.area, 'aspect': experiment.data.aspect}

    @contextlib.contextmanager
    def counted(name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        spent[name].append(time.perf_counter() - start)

    for index in rng.integers(len(source), size=IMAGES).tolist():
        with counted('read'):
            example = read_example(source, index)
        try:
            with counted('decode'):
                image = decode(example.image)
        except ValueError:
            continue
        with counted('crop and resize'):
            box = random_area_crop(rng, *image.shape[:2], **ranges)
            crop_and_resize(image, box, experiment.network.input_size)
    return {name: statistics.mean(times) for name, times in spent.items()}


def _device(experiment: Experiment) -> dict[str, float]:
    """Returns the seconds per image of each level of augmentation on one device."""
    size = experiment.network.input_size
    images = np.random.default_rng(0).integers(256, size=(32, size, size, 3))
    images = jax.device_put(images.astype(np.uint8))
    keys = jax.random.split(random_key(0), len(images))

    def timed(**options) -> float:
        options['pixel_range'] = experiment.network.pixel_range
        step = jax.jit(
            functools.partial(augment, **options),
            compiler_options=compiler_options(jax.default_backend()),
        )
        jax.block_until_ready(step(keys, images))
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            jax.block_until_ready(step(keys, images))
            times.append(time.perf_counter() - start)
        return statistics.median(times) / len(images)

    return {
        'scaling': timed(flip=False, colour='none'),
        'and flip': timed(flip=True, colour='none'),
        'and fast colours': timed(flip=True, colour='fast'),
        'and full colours': timed(flip=True, colour='full'),
    }
