"""What a trained network says of image files: classes, or what a block computes."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from inception_jax.data.crops import mirrored, number_of_views, view_options
from inception_jax.data.example import Unreadable
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.data.sources.files import Files
from inception_jax.evaluation.apply import compile_end_point, compile_softmax
from inception_jax.evaluation.features_file import open_features_file
from inception_jax.parallel.mesh import check_batch_size
from inception_jax.weights.trained import Trained


class PredictionRequest(NamedTuple):
    """Images to look at: how many crops of each, so many at a time.

    `unreadable` is told of those that cannot be read, `told` how many are done.
    """

    images: Files
    crops: int
    batch_size: int
    unreadable: Callable[[Unreadable], None]
    told: Callable[[int], None]


class Prediction(NamedTuple):
    """The most probable classes of an image, the first one most, with their share."""

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]


def prediction_batch_size(one: Trained, images: int, given: int | None) -> int:
    """Returns how many crops go through the network at a time.

    Without a number it is up to 32 a device, of as few zeros in the last batch as can
    be.

    Raises:
      ValueError: the number given does not divide over the devices.
    """
    if given is not None:
        check_batch_size(given, one.mesh)
        return given
    each = -(-images // one.mesh.size)
    return one.mesh.size * -(-each // -(-each // 32))


def predictions(
    one: Trained, request: PredictionRequest, top: int
) -> Iterator[Prediction]:
    """Yields the `top` classes of every image that can be read, in their order."""
    for index, shares in _shares(one, request):
        first = np.argsort(-shares, kind='stable')[:top]
        names = tuple(one.class_names[label] for label in first)
        image = request.images.paths[index]
        yield Prediction(image, names, tuple(shares[first].tolist()))


def _shares(
    one: Trained, request: PredictionRequest
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number and the mean softmax of every image that can be read."""
    views = number_of_views(request.crops)
    softmax = compile_softmax(one, mirrored=mirrored(request.crops))
    total, count = {}, collections.Counter()
    for index, row in _rows(one, request, softmax, 'softmax'):
        total[index] = total.get(index, 0) + row.astype(np.float64)
        count[index] += 1
        if count[index] == views:
            yield index, (total.pop(index) / views).astype(np.float32)


def write_features(
    one: Trained, request: PredictionRequest, name: str, path: Path
) -> None:
    """Writes what the end point `name` has for every image that can be read.

    The file is an npz with `ids`, `features` float32, a row for an image, and `about`
    in JSON. It is there when all are done.

    Raises:
      ValueError: the network has no such end point.
      OSError: the file cannot be written.
    """
    apply = compile_end_point(one, name)
    about = {**one.about, 'end_point': name, 'classes': list(one.class_names)}
    with open_features_file(path, about) as add:
        for index, row in _rows(one, request, apply, 'features'):
            add(request.images.paths[index], row)


def _rows(
    one: Trained, request: PredictionRequest, apply: Callable[[dict], dict], what: str
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields what the network makes of each view, with the number of its image.

    A batch is waited for while the network makes the next.
    """
    batches = evaluation_batches(
        request.images,
        batch_size=request.batch_size,
        **view_options(one.network, request.crops),
        unreadable=request.unreadable,
    )
    total = len(request.images)
    with contextlib.closing(batches):
        results = ((batch, apply(batch)[what]) for batch in batches)
        for (batch, found), _ in itertools.pairwise(itertools.chain(results, [None])):
            rows = np.asarray(found)[batch['mask']]
            numbers = batch['example'][batch['mask']].tolist()
            yield from zip(numbers, rows, strict=True)
            request.told(min(total - 1, int(batch['example'].max())))
    request.told(total)
