"""Batches of crops for training and evaluation (Grain and OpenCV).

The host reads, decodes, crops and resizes to uint8; the rest is `augment`'s. A stream
is a function of the number of the row, so that it starts anywhere and is the same for
any number of threads and processes.
"""

import os
import sys
from collections.abc import Callable, Iterator

import cv2
import grain
import numpy as np

from inception_jax.data.decode import decode
from inception_jax.data.example import Source, Unreadable
from inception_jax.data.geometry import (
    Box,
    central_crop,
    check_fraction,
    check_range,
    random_area_crop,
)
from inception_jax.logs import warn

Batch = dict[str, np.ndarray]

# Where so many in a row cannot be read, it is not the images.
MOST_UNREADABLE = 16


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
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields random crops for ever, in a new order every epoch, from batch `start` on.

    Every example comes once an epoch; a batch may span two. The order is a function of
    the seed and the epoch, a crop of the seed, the epoch and the example. `area` and
    `aspect` are those of `random_area_crop`. Process i of n, `shard` (i, n), gets the
    i-th part of every batch of the global `batch_size`. Without `threads` there is one
    a core.

    A batch has `image` uint8 [batch, size, size, 3], `label` int32 [batch] and
    `example` uint32 [batch], the index in the source. With `skip` the next one of the
    order takes the place of an example that cannot be read, and a batch has
    `unreadable` bool [batch], True for those.

    Raises:
      ValueError: batch_size does not divide over the processes, or a range is empty.
      Unreadable: while iterating: an example cannot be read; with `skip`, so many in a
        row that the data are gone.
    """
    check_range('area', area, most=1.0)
    check_range('aspect', aspect)
    rows = _Rows(batch_size, shard)
    order = _order(len(source), seed)

    def load_at(place: int) -> Batch:
        index, epoch = order[place], place // len(source)
        rng = np.random.default_rng(
            np.random.SeedSequence(seed, spawn_key=(epoch, index))
        )

        def crop(height: int, width: int) -> Box:
            return random_area_crop(rng, height, width, area=area, aspect=aspect)

        return _load(source, index, crop, size)

    def load(row: int) -> Batch:
        place = rows.place(row)
        return _first_readable(load_at, place) if skip else load_at(place)

    return _batches(range(start * rows.local, sys.maxsize), load, rows.local, threads)


def evaluation_batches(
    source: Source,
    *,
    batch_size: int,
    size: int,
    crop_fraction: float,
    skip: bool = False,
    shard: tuple[int, int] = (0, 1),
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields the central crop of every example once, in the order of the source.

    Batches are those of `training_batches` and have a `mask` bool [batch], False for
    the zeros that fill the last one, and with `skip` for those that stand for examples
    that cannot be read. Every process gets the same number of batches.

    Raises:
      ValueError: batch_size does not divide over the processes, or crop_fraction is not
        in (0, 1].
      Unreadable: while iterating: an example cannot be read; not with `skip`.
    """
    check_fraction(crop_fraction)
    rows = _Rows(batch_size, shard)

    def crop(height: int, width: int) -> Box:
        return central_crop(height, width, crop_fraction)

    def load(row: int) -> Batch:
        index = rows.place(row)
        if index >= len(source):
            return _padding(size)
        try:
            return {**_load(source, index, crop, size), 'mask': np.bool_(True)}
        except Unreadable as error:
            if not skip:
                raise
            warn(f'{error}; it does not count')
            return _padding(size)

    batches = -(-len(source) // batch_size)
    return _batches(range(batches * rows.local), load, rows.local, threads)


def crop_and_resize(image: np.ndarray, box: Box, size: int) -> np.ndarray:
    """Returns the box of an image as [size, size, 3], bilinear, its aspect not kept."""
    top, left, height, width = box
    crop = image[top : top + height, left : left + width]
    # Not smoothed when it shrinks, as in TensorFlow 1, whose pixels however have their
    # corners at whole coordinates (no half-pixel centres).
    return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)


class _Rows:
    """The rows of a process: its part of every global batch, batch after batch."""

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
        """Returns the place of a row of this process in the stream of all."""
        batch, row = divmod(row, self.local)
        return batch * self.batch_size + self.index * self.local + row


def _order(examples: int, seed: int) -> grain.MapDataset:
    """Returns an endless sequence of indices, of which every epoch is a permutation."""
    # Grain's seed of an epoch is the seed plus the epoch; without a hash the second
    # epoch of one seed would be the first of the next.
    (hashed,) = np.random.SeedSequence(seed).generate_state(1)
    return grain.MapDataset.range(examples).shuffle(seed=int(hashed))


def _load(
    source: Source, index: int, crop: Callable[[int, int], Box], size: int
) -> Batch:
    try:
        example = source[index]
    except Exception as error:
        raise Unreadable(
            f'cannot read example {index} of the data ({error})'
        ) from error
    try:
        image = decode(example.image)
    except ValueError as error:
        raise Unreadable(f'cannot decode image {example.id}: {error}') from error
    box = crop(*image.shape[:2])
    return {
        'image': crop_and_resize(image, box, size),
        'label': np.int32(example.label),
        'example': np.uint32(index),
    }


def _first_readable(load: Callable[[int], Batch], place: int) -> Batch:
    """Loads what is at a place, or else at one of the next."""
    errors = []
    for other in range(place, place + MOST_UNREADABLE):
        try:
            found = load(other)
        except Unreadable as error:
            errors.append(error)
            continue
        for error in errors[:1]:
            warn(f'{error}; the next one takes its place')
        return {**found, 'unreadable': np.bool_(other != place)}
    raise Unreadable(
        f'{MOST_UNREADABLE} examples in a row cannot be read; the first: {errors[0]}'
    )


def _padding(size: int) -> Batch:
    return {
        'image': np.zeros((size, size, 3), np.uint8),
        'label': np.int32(0),
        'example': np.uint32(0),
        'mask': np.bool_(False),
    }


def _batches(
    rows: range, load: Callable[[int], Batch], batch: int, threads: int | None
) -> Iterator[Batch]:
    # The threads are Grain's; OpenCV's own would fight with them for the cores.
    cv2.setNumThreads(0)
    threads = threads or os.cpu_count() or 1
    # Grain refills its buffer only when asked for a row: with two batches, it prepares
    # the next one while the step works on this one.
    options = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=max(2 * batch, threads)
    )
    rows = grain.MapDataset.range(rows.start, rows.stop).map(load)
    return iter(rows.to_iter_dataset(options).batch(batch))
