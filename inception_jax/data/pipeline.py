"""Batches of crops for training and evaluation (Grain).

The host reads, decodes, crops and resizes images with values from 0 to 255; the
compiled step does the rest (`augment`). Each row of a stream is a function of its
number, so that a stream can start anywhere and is the same for any number of threads
and processes.
"""

import functools
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator

import grain
import numpy as np

from inception_jax.data import prefetch
from inception_jax.data.crops import check_crops, number_of_views, views
from inception_jax.data.decode import MOST_PIXELS, decode
from inception_jax.data.example import Source, Unreadable, read_example
from inception_jax.data.geometry import check_range, random_area_crop
from inception_jax.data.resize import crop_and_resize, resize
from inception_jax.networks.images import check_crop_fraction
from inception_jax.runtime import signals
from inception_jax.runtime.messages import warn

Batch = dict[str, np.ndarray]

# After this many consecutive unreadable examples, loading fails even with `skip`.
MOST_UNREADABLE = 16
# After a signal, a batch may load for so long before its loading stops.
MOST_SECONDS = 5.0


class LoadingStopped(Exception):
    """A signal stopped the loading of a batch."""


def training_batches(
    source: Source,
    *,
    batch_size: int,
    size: int,
    seed: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
    start: int = 0,
    skip: bool = False,
    shard: tuple[int, int] = (0, 1),
    workers: int = 0,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields batches of random crops without end, in a new order every epoch.

    Every example occurs once per epoch. A batch may contain examples of two epochs. The
    order depends on the seed and the epoch; a crop depends on the seed, the epoch and
    the example.

    Args:
      source: the examples.
      batch_size: the global batch size, over all processes.
      size: the side of the crops in pixels.
      seed: the seed of the order and the crops.
      area: as in `random_area_crop`.
      aspect: as in `random_area_crop`.
      start: the number of the first batch, to resume a stream.
      skip: replace an unreadable example by the next readable example in the order.
      shard: (i, n): process i of n gets the i-th part of every batch.
      workers: the number of worker processes (`load_in_order`); 0 loads in threads of
        this process. A script must start workers below `if __name__ == '__main__'`.
      threads: the number of threads of each process; None means one per core, at most
        eight.

    Yields:
      `image` uint8 [batch, size, size, 3], `label` int32 [batch] and `example` uint32
      [batch], the index in the source. With `skip`, `unreadable` bool [batch] is True
      for rows that hold a replacement.

    Raises:
      ValueError: batch_size does not divide over the processes, or a range is empty.
      Unreadable: while iterating, if an example cannot be read; with `skip`, if 16
        consecutive examples cannot be read.
      LostWorker: while iterating, if a worker process has ended.
      LoadingStopped: while iterating without workers, if a batch still loads some time
        after `watch_signals` has caught a signal.

    >>> from inception_jax.data.sources.open import open_source
    >>> batches = training_batches(
    ...     open_source('synthetic:12/3', 'train'),
    ...     batch_size=4, size=16, seed=0, area=(0.1, 1), aspect=(3 / 4, 4 / 3),
    ... )
    >>> next(batches)['image'].shape
    (4, 16, 16, 3)
    >>> batches.close()
    """
    check_range('area', area, most=1.0)
    check_range('aspect', aspect)
    rows = _Rows(batch_size, shard)
    order = _order(len(source), seed)

    def load_at(place: int) -> Batch:
        index, epoch = order[place], place // len(source)
        generator = np.random.default_rng(
            np.random.SeedSequence(seed, spawn_key=(epoch, index))
        )

        def cut(image: np.ndarray) -> np.ndarray:
            shape = image.shape[:2]
            box = random_area_crop(generator, *shape, area=area, aspect=aspect)
            return crop_and_resize(image, box, size)

        return _load(source, index, cut)

    def load(number: int) -> Batch:
        places = [rows.place(number * rows.local + row) for row in range(rows.local)]
        load_one = functools.partial(_first_readable, load_at) if skip else load_at
        return _batch(map(load_one, _until_signal(places)))

    numbers = range(start, sys.maxsize // batch_size)
    threads = threads or prefetch.thread_count(workers)
    return prefetch.load_in_order(numbers, load, workers=workers, threads=threads)


def evaluation_batches(
    source: Source,
    *,
    batch_size: int,
    size: int,
    crops: int,
    crop_fraction: float,
    square_crop: bool = False,
    interpolation: str = 'bilinear',
    indices: range | None = None,
    unreadable: Callable[[Unreadable], None] | None = None,
    shard: tuple[int, int] = (0, 1),
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields the views of every example once, in the order of the source.

    The views of an example are consecutive rows.

    Args:
      source: the examples.
      batch_size: the global number of views in a batch, over all processes.
      size: the side of the views in pixels.
      crops: 1, 10, 12 or 144, with `crop_fraction` and `square_crop` as in
        `crops.views`.
      crop_fraction: see `crops`.
      square_crop: see `crops`.
      interpolation: one of `networks.images.INTERPOLATIONS`.
      indices: consecutive indices of the examples to evaluate; None means all.
      unreadable: called with the error of each example that cannot be read, from any
        thread; zeros with a `mask` of False replace the example. Without it the error
        is raised.
      shard: as in `training_batches`.
      threads: the number of threads; None means one per core.

    Yields:
      Batches as in `training_batches`, and `mask` bool [batch], False for the zeros
      that fill the last batch. Images are float32 for `float_bilinear`. Every process
      gets the same number of batches.

    Raises:
      ValueError: batch_size does not divide over the processes, crop_fraction is not in
        (0, 1], or `crops` is not 1, 10, 12 or 144.
      Unreadable: while iterating, if an example cannot be read and `unreadable` is
        None.
    """
    check_crop_fraction(crop_fraction)
    check_crops(crops)
    options = {
        'size': size,
        'crops': crops,
        'crop_fraction': crop_fraction,
        'square_crop': square_crop,
    }
    rows = _Rows(batch_size, shard)
    indices = range(len(source)) if indices is None else indices
    cut = functools.partial(_views_of, interpolation=interpolation, **options)
    full, rest = divmod(len(indices), batch_size)
    number = full * rows.local + min(rest, rows.local)

    def load(row: int) -> Batch:
        place = rows.place(row)
        if place >= len(indices):
            return _padding(options, interpolation)
        try:
            example = _load(source, indices[place], cut)
        except Unreadable as error:
            if unreadable is None:
                raise
            unreadable(error)
            return _padding(options, interpolation)
        return {**example, 'mask': np.bool_(True)}

    ahead = -(-2 * rows.local // number_of_views(crops))
    threads = threads or prefetch.cores()
    examples = prefetch.load_in_order(range(number), load, ahead=ahead, threads=threads)
    return _batches_of_views(examples, rows.local)


def note_unreadable(error: Unreadable) -> None:
    """Prints a note that the evaluation skips an example."""
    warn(f'{error}; the evaluation skips this example')


class _Rows:
    """The rows of this process: its part of every global batch, in order."""

    def __init__(self, batch_size: int, shard: tuple[int, int]):
        self.index, count = shard
        self.batch_size = batch_size
        self.local, rest = divmod(batch_size, count)
        if rest or not self.local:
            raise ValueError(
                f'batch_size {batch_size} does not divide over {count} processes; use '
                f'a multiple of {count}, e.g. {max(1, self.local) * count}'
            )

    def place(self, row: int) -> int:
        """Returns the place of a row of this process in the global stream."""
        batch, row = divmod(row, self.local)
        return batch * self.batch_size + self.index * self.local + row


def _order(examples: int, seed: int) -> grain.MapDataset:
    """Returns an endless sequence of indices; each epoch of it is a permutation."""
    # Grain adds the epoch to the seed. Without a hash the second epoch of a seed would
    # be the first epoch of the next seed.
    (hashed,) = np.random.SeedSequence(seed).generate_state(1)
    return grain.MapDataset.range(examples).shuffle(seed=int(hashed))


def _load(source: Source, index: int, cut: Callable[[np.ndarray], np.ndarray]) -> Batch:
    """Loads an example and cuts its decoded pixels to the input of the network."""
    example = read_example(source, index)
    try:
        image = cut(decode(example.image))
    except ValueError as error:
        raise Unreadable(f'cannot decode image {example.id}: {error}') from error
    return {
        'image': image,
        'label': np.int32(example.label),
        'example': np.uint32(index),
    }


def _until_signal(places: Iterable[int]) -> Iterator[int]:
    """Yields places until a signal has waited too long for the end of a batch."""
    for place in places:
        if signals.seconds_since_signal() > MOST_SECONDS:
            raise LoadingStopped('a signal came while a batch was loaded')
        yield place


def _first_readable(load: Callable[[int], Batch], place: int) -> Batch:
    """Loads the first readable example at or after a place of the order."""
    errors = []
    for other in range(place, place + MOST_UNREADABLE):
        try:
            example = load(other)
        except Unreadable as error:
            errors.append(error)
            continue
        if errors:
            warn(f'{errors[0]}; the next example replaces this example')
        return {**example, 'unreadable': np.bool_(other != place)}
    raise Unreadable(
        f'{MOST_UNREADABLE} examples in a row cannot be read; the first: {errors[0]}'
    )


def _views_of(image: np.ndarray, interpolation: str, **options) -> np.ndarray:
    """Cuts the views of an image: [views, size, size, 3], uint8 or float32."""
    # A single crop is cut from the image without resizing, thus without a copy.
    resized, pixels = {image.shape[:2]: image}, []
    for height, width, box in views(*image.shape[:2], **options):
        if height * width > MOST_PIXELS:
            raise ValueError(f'its crops need an image of {height} x {width} pixels')
        if (height, width) not in resized:
            resized = {(height, width): resize(image, height, width, interpolation)}
        whole = resized[height, width]
        pixels.append(crop_and_resize(whole, box, options['size'], interpolation))
    return np.stack(pixels)


def _padding(options: dict, interpolation: str) -> Batch:
    count, size = number_of_views(options['crops']), options['size']
    pixel = resize(np.zeros((1, 1, 3), np.uint8), size, size, interpolation)
    return {
        'image': np.stack(count * [pixel]),
        'label': np.int32(0),
        'example': np.uint32(0),
        'mask': np.bool_(False),
    }


def _batches_of_views(examples: Iterable[Batch], batch_size: int) -> Iterator[Batch]:
    """Batches the views of examples; zeros fill the last batch."""
    rows_of_all = (
        {**example, 'image': image}
        for example in examples
        for image in example['image']
    )
    while rows := list(itertools.islice(rows_of_all, batch_size)):
        empty = {name: np.zeros_like(value) for name, value in rows[0].items()}
        yield _batch(rows + [empty] * (batch_size - len(rows)))


def _batch(rows: Iterable[Batch]) -> Batch:
    rows = list(rows)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
