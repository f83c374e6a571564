"""Batches of crops for training and evaluation (Grain).

The host reads, decodes, crops and resizes to uint8; the rest is `augment`'s. A stream
is a function of the number of the row, so that it starts anywhere and is the same for
any number of threads and processes.
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
from inception_jax.data.example import Source, Unreadable
from inception_jax.data.geometry import (
    check_fraction,
    check_range,
    random_area_crop,
)
from inception_jax.data.resize import crop_and_resize, resize
from inception_jax.runtime.messages import warn

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
    workers: int = 0,
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields random crops for ever, in a new order every epoch, from batch `start` on.

    Every example comes once an epoch; a batch may span two. The order is a function of
    the seed and the epoch, a crop of the seed, the epoch and the example. `area` and
    `aspect` are those of `random_area_crop`. Process i of n, `shard` (i, n), gets the
    i-th part of every batch of the global `batch_size`. Without `threads` there is one
    a core, up to eight; with `workers` they are in so many processes
    (`loading.in_order`), which a script starts only below `if __name__ == '__main__'`.

    A batch has `image` uint8 [batch, size, size, 3], `label` int32 [batch] and
    `example` uint32 [batch], the index in the source. With `skip` the next one of the
    order takes the place of an example that cannot be read, and a batch has
    `unreadable` bool [batch], True for those.

    Raises:
      ValueError: batch_size does not divide over the processes, or a range is empty.
      Unreadable: while iterating: an example cannot be read; with `skip`, so many in a
        row that the data are gone.
      LostWorker: while iterating: a worker has ended.
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

        def cut(image: np.ndarray) -> np.ndarray:
            shape = image.shape[:2]
            box = random_area_crop(rng, *shape, area=area, aspect=aspect)
            return crop_and_resize(image, box, size)

        return _load(source, index, cut)

    def load(number: int) -> Batch:
        places = [rows.place(number * rows.local + row) for row in range(rows.local)]
        load_one = functools.partial(_first_readable, load_at) if skip else load_at
        return _batch(map(load_one, places))

    numbers = range(start, sys.maxsize // batch_size)
    share = prefetch.cores() // workers if workers else prefetch.cores()
    # Each thread holds a batch; more than these wait for one another.
    threads = threads or max(1, min(share, prefetch.CORES_PER_WORKER))
    return prefetch.in_order(numbers, load, workers=workers, threads=threads)


def evaluation_batches(
    source: Source,
    *,
    batch_size: int,
    size: int,
    crops: int,
    crop_fraction: float,
    square_crop: bool = False,
    interpolation: str = 'bilinear',
    some: range | None = None,
    unreadable: Callable[[Unreadable], None] | None = None,
    shard: tuple[int, int] = (0, 1),
    threads: int | None = None,
) -> Iterator[Batch]:
    """Yields the views of every example once, in the order of the source.

    The views are those of `crops.views`, resized by the `interpolation`; all of an
    example come one after another. Batches are those of `training_batches` and have a
    `mask` bool [batch], False for the zeros that fill the last one. Every process gets
    the same number of batches. With `some`, indices one after another, these examples
    alone come. Where `unreadable` is given it is told of an example that cannot be
    read, for which zeros stand.

    Raises:
      ValueError: batch_size does not divide over the processes, crop_fraction is not in
        (0, 1], or there is no protocol of so many crops.
      Unreadable: while iterating: an example cannot be read, and nobody is told.
    """
    check_fraction(crop_fraction)
    check_crops(crops)
    options = {
        'size': size,
        'crops': crops,
        'crop_fraction': crop_fraction,
        'square_crop': square_crop,
    }
    rows = _Rows(batch_size, shard)
    some = range(len(source)) if some is None else some
    cut = functools.partial(_views_of, interpolation=interpolation, **options)
    full, rest = divmod(len(some), batch_size)
    number = full * rows.local + min(rest, rows.local)

    def load(row: int) -> Batch:
        place = rows.place(row)
        if place >= len(some):
            return _padding(options)
        try:
            found = _load(source, some[place], cut)
        except Unreadable as error:
            if unreadable is None:
                raise
            unreadable(error)
            return _padding(options)
        return {**found, 'mask': np.bool_(True)}

    ahead = -(-2 * rows.local // number_of_views(crops))
    threads = threads or prefetch.cores()
    examples = prefetch.in_order(range(number), load, ahead=ahead, threads=threads)
    return _of_views(examples, rows.local)


def note_unreadable(error: Unreadable) -> None:
    """Tells people of an example that an evaluation goes without."""
    warn(f'{error}; it does not count')


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


def _load(source: Source, index: int, cut: Callable[[np.ndarray], np.ndarray]) -> Batch:
    """Returns an example, of whose pixels `cut` makes what the network sees."""
    try:
        example = source[index]
    except Exception as error:
        raise Unreadable(
            f'cannot read example {index} of the data ({error})'
        ) from error
    try:
        image = cut(decode(example.image))
    except ValueError as error:
        raise Unreadable(f'cannot decode image {example.id}: {error}') from error
    return {
        'image': image,
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


def _views_of(image: np.ndarray, interpolation: str, **options) -> np.ndarray:
    """Cuts the views of an image: [views, size, size, 3]."""
    # The image as it is counts as resized: one crop is cut from it without a copy.
    resized, found = {image.shape[:2]: image}, []
    for height, width, box in views(*image.shape[:2], **options):
        if height * width > MOST_PIXELS:
            raise ValueError(f'its crops take {height} x {width} pixels')
        if (height, width) not in resized:
            resized = {(height, width): resize(image, height, width, interpolation)}
        whole = resized[height, width]
        found.append(crop_and_resize(whole, box, options['size'], interpolation))
    return np.stack(found)


def _padding(options: dict) -> Batch:
    many, size = number_of_views(options['crops']), options['size']
    return {
        'image': np.zeros((many, size, size, 3), np.uint8),
        'label': np.int32(0),
        'example': np.uint32(0),
        'mask': np.bool_(False),
    }


def _of_views(examples: Iterable[Batch], batch: int) -> Iterator[Batch]:
    """Makes batches of the views of examples; zeros fill the last one."""
    views_of_all = (
        {**example, 'image': image}
        for example in examples
        for image in example['image']
    )
    while rows := list(itertools.islice(views_of_all, batch)):
        empty = {name: np.zeros_like(value) for name, value in rows[0].items()}
        yield _batch(rows + [empty] * (batch - len(rows)))


def _batch(rows: Iterable[Batch]) -> Batch:
    rows = list(rows)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}
