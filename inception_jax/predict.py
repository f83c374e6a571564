"""What a trained network says of image files: classes, or what a block computes."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inception_jax import parallel, probabilities
from inception_jax.applied import end_point_of, softmax_of
from inception_jax.data.crops import mirrored, number_of_views, seen_by
from inception_jax.data.example import Source, Unreadable
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.growing import growing
from inception_jax.trained import Trained

# Of these many batches the results are told together.
BATCHES = 8


class Asked(NamedTuple):
    """Images to look at: how many crops of each, so many at a time.

    `unreadable` is told of those that cannot be read, `told` how many are done.
    """

    images: Source
    crops: int
    batch_size: int
    unreadable: Callable[[Unreadable], None]
    told: Callable[[int], None]


class Prediction(NamedTuple):
    """The most probable classes of an image, the first one most, with their share."""

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def batch_size(one: Trained, images: int, given: int | None) -> int:
    """Returns how many crops go through the network at a time.

    Without a number it is up to 32 a device, of as few zeros in the last batch as can
    be.

    Raises:
      ValueError: the number given does not divide over the devices.
    """
    if given is not None:
        parallel.check_batch_size(given, one.mesh)
        return given
    each = -(-images // one.mesh.size)
    return one.mesh.size * -(-each // -(-each // 32))


def predictions(one: Trained, asked: Asked, top: int) -> Iterator[Prediction]:
    """Yields the `top` classes of every image that can be read, in their order."""
    views = number_of_views(asked.crops)
    softmax = softmax_of(one, mirrored=mirrored(asked.crops))
    stretch = max(1, BATCHES * asked.batch_size // views)
    for start in range(0, len(asked.images), stretch):
        some = range(start, min(start + stretch, len(asked.images)))
        found = probabilities.of_some(
            softmax,
            lambda source, some: _batches(one, asked, source, some),
            asked.images,
            some,
            views,
        )
        for image, shares in zip(found.ids, found.softmax, strict=True):
            first = np.argsort(-shares, kind='stable')[:top]
            names = tuple(one.class_names[label] for label in first)
            yield Prediction(str(image), names, tuple(shares[first].tolist()))
        asked.told(some.stop)


def write_features(one: Trained, asked: Asked, name: str, path: Path) -> int:
    """Writes what the end point `name` has for every image, and returns for how many.

    The file is an npz with `ids`, `features` float32, a row for an image, and `about`
    in JSON. It is there when all are done.

    Raises:
      ValueError: the network has no such end point.
      OSError: the file cannot be written.
    """
    apply = end_point_of(one, name)
    about = {**one.about, 'end_point': name, 'classes': list(one.class_names)}
    done = 0
    with (
        growing(path, about) as add,
        contextlib.closing(
            _batches(one, asked, asked.images, range(len(asked.images)))
        ) as batches,
    ):
        for batch in batches:
            found = apply(batch)
            mask, example = batch['mask'], batch['example']
            for index, row in zip(
                example[mask], np.asarray(found['features'])[mask], strict=True
            ):
                add(asked.images.paths[index], row)
                done += 1
            asked.told(int(example.max()) + 1)
    return done


def _batches(one: Trained, asked: Asked, source: Source, some: range):
    return evaluation_batches(
        source,
        batch_size=asked.batch_size,
        **seen_by(one.network, asked.crops),
        some=some,
        unreadable=asked.unreadable,
    )
