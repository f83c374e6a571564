"""Predictions and features of images: files, folders or arrays."""

import collections
import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inception_jax.data.crops import mirrored, number_of_views, view_options
from inception_jax.data.example import Unreadable
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.data.sources.arrays import Arrays
from inception_jax.data.sources.files import Files, find_image_files
from inception_jax.evaluation.apply import compile_end_point, compile_softmax
from inception_jax.evaluation.features_file import open_features_file
from inception_jax.evaluation.opened import AnyTrained, opened
from inception_jax.parallel.mesh import check_batch_size
from inception_jax.weights.trained import Trained

# The batch size for each device.
BATCH_SIZE = 32

# The images that `predict` and `features` accept.
ImageInputs = str | Path | np.ndarray | Sequence[str | Path | np.ndarray]


class Prediction(NamedTuple):
    """The most probable classes of an image, in order, with their probabilities."""

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def __str__(self) -> str:
        pairs = zip(self.classes, self.probabilities, strict=True)
        shares = ', '.join(f'{name} {100 * share:.1f} %' for name, share in pairs)
        return f'{self.image}: {shares}'


def predict(
    trained: AnyTrained,
    images: ImageInputs,
    top: int = 5,
    *,
    crops: int = 1,
    batch_size: int | None = None,
) -> list[Prediction]:
    """Returns the `top` most probable classes of every image, in the order of images.

    Args:
      trained: the network, from `trained`; or a run, or the path of a run or of a
        weight file, which is opened as by `trained`.
      images: paths of image files or of folders of image files at any depth; or
        pixels, uint8 [images, height, width, 3] or a list of [height, width, 3]. Grey
        pixels have 1 channel, or no last axis in a list.
      top: the number of classes of each prediction.
      crops: the number of crops whose softmax is averaged: 1, 10, 12 or 144.
      batch_size: the number of crops in a batch, by default up to 32 a device.

    Raises:
      ValueError: a path does not exist, pixels have another shape or type, or the batch
        does not divide over the devices.
      Unreadable: an image file cannot be decoded.

    >>> import inception_jax as ij
    >>> from inception_jax.evaluation.trained import TrainedNetwork
    >>> stem = ij.one('stem', ij.conv(4, 3, 2))
    >>> tiny = ij.network('tiny', stem, classes=3, input_size=16)
    >>> names = ('ant', 'bee', 'cat')
    >>> trained = TrainedNetwork.from_variables(tiny, ij.init(tiny), names)
    >>> pixels = np.zeros((2, 20, 30, 3), np.uint8)
    >>> first, second = predict(trained, pixels, top=2)
    >>> len(first.classes), first.probabilities == second.probabilities
    (2, True)
    """
    trained = opened(trained)
    source = open_images(images, trained.class_names)
    return list(
        predictions(trained, source, top=top, crops=crops, batch_size=batch_size)
    )


def features(
    trained: AnyTrained,
    images: ImageInputs,
    name: str = 'pool',
    *,
    batch_size: int | None = None,
) -> np.ndarray:
    """Returns the output of a block for every image, in the order of the images.

    Args:
      trained: the network, from `trained`; or a run, or the path of a run or of a
        weight file, which is opened as by `trained`.
      images: as in `predict`.
      name: a block of the trunk, 'pool' (the mean of the final feature map) or
        'logits'.
      batch_size: as in `predict`.

    Returns:
      float32: [images, height, width, channels] for a block, [images, channels] for
      'pool', [images, classes] for 'logits'.

    Raises:
      ValueError: as in `predict`, or the network has no such block.
      Unreadable: as in `predict`.

    >>> import inception_jax as ij
    >>> from inception_jax.evaluation.trained import TrainedNetwork
    >>> stem = ij.one('stem', ij.conv(4, 3, 2))
    >>> tiny = ij.network('tiny', stem, classes=3, input_size=16)
    >>> trained = TrainedNetwork.from_variables(tiny, ij.init(tiny))
    >>> features(trained, np.zeros((2, 20, 30, 3), np.uint8)).shape
    (2, 4)
    """
    trained = opened(trained)
    source = open_images(images, trained.class_names)
    apply = compile_end_point(trained, name)
    rows = _apply_to_views(trained, source, apply, 'features', batch_size=batch_size)
    return np.stack([row for _, row in rows])


def open_images(images: ImageInputs, class_names: tuple[str, ...]) -> Files | Arrays:
    """Returns images as a source without labels; see `predict`.

    The id of a file is its path, and the id of an array is its index.

    Raises:
      ValueError: a path does not exist, there is no image, or arrays have another
        shape or type.
    """
    if isinstance(images, str | Path):
        images = [images]
    if _is_array(images):
        images = np.asarray(images)
        _check_pixels('images', images, images.ndim == 4)
    images = list(images)
    if not images:
        raise ValueError('no images; expected one path or array or more')
    are_paths = {isinstance(image, str | Path) for image in images}
    if are_paths == {True}:
        return Files(tuple(find_image_files(map(Path, images))), class_names)
    if are_paths == {True, False}:
        raise ValueError('a list of paths and arrays; predict them in two calls')
    arrays = [np.asarray(image) for image in images]
    for index, array in enumerate(arrays):
        _check_pixels(f'image {index}', array, array.ndim in (2, 3))
    ids = tuple(map(str, range(len(arrays))))
    return Arrays(arrays, np.zeros(len(arrays), int), ids, class_names)


def _is_array(images: Any) -> bool:
    """Whether images are an array of numbers; an array or a column may hold paths."""
    return hasattr(images, 'shape') and getattr(images.dtype, 'kind', 'V') not in 'OSU'


def _check_pixels(name: str, pixels: np.ndarray, has_axes: bool) -> None:
    """Raises ValueError unless pixels have their axes, 1 or 3 channels, and uint8."""
    shape = [*pixels.shape]
    has_channels = pixels.ndim == 2 or shape[-1:] in ([1], [3])
    is_empty = 0 in shape[-3:][:2]
    if has_axes and has_channels and not is_empty and pixels.dtype == np.uint8:
        return
    single = shape[-1:] == [3]
    remedy = (
        '; a single image is image[None]' if single else '; grey: images[..., None]'
    )
    raise ValueError(
        f'{name} of shape {shape} and type {pixels.dtype}; expected pixels from 0 to '
        '255, uint8 [images, height, width, 3] (1 channel for grey), or a list of '
        f'[height, width, 3]{remedy if name == "images" and pixels.ndim == 3 else ""}'
    )


def prediction_batch_size(trained: Trained, images: int, batch_size: int | None) -> int:
    """Returns the number of crops in a batch.

    Without a `batch_size` it is up to 32 a device, with as little padding of the last
    batch as possible.

    Raises:
      ValueError: `batch_size` does not divide over the devices.
    """
    if batch_size is not None:
        check_batch_size(batch_size, trained.mesh)
        return batch_size
    each = -(-images // trained.mesh.size)
    return trained.mesh.size * -(-each // -(-each // BATCH_SIZE))


def predictions(
    trained: Trained,
    source: Files | Arrays,
    *,
    top: int,
    crops: int = 1,
    batch_size: int | None = None,
    unreadable: Callable[[Unreadable], None] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Prediction]:
    """Yields the prediction of every image as soon as it is computed.

    The class names are those of the source. `unreadable` is called with the error of
    each image that cannot be read, which is then left out; without it the error is
    raised. `progress` is called with the number of images that are done.
    """
    if top < 1:
        raise ValueError(f'the top {top} classes; expected 1 or more')
    views = number_of_views(crops)
    softmax = compile_softmax(trained, mirrored=mirrored(crops))
    total, count = {}, collections.Counter()
    for index, row in _apply_to_views(
        trained,
        source,
        softmax,
        'softmax',
        crops=crops,
        batch_size=batch_size,
        unreadable=unreadable,
        progress=progress,
    ):
        total[index] = total.get(index, 0) + row.astype(np.float64)
        count[index] += 1
        if count[index] == views:
            mean = (total.pop(index) / views).astype(np.float32)
            first = np.argsort(-mean, kind='stable')[:top]
            names = tuple(source.class_names[label] for label in first)
            yield Prediction(source.ids[index], names, tuple(mean[first].tolist()))


def write_features(
    trained: Trained,
    source: Files | Arrays,
    name: str,
    path: Path,
    *,
    batch_size: int | None = None,
    unreadable: Callable[[Unreadable], None] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Writes the features of every image to an npz file; see `predictions`.

    The file has `ids`, `features` as in the function `features`, and `about` in JSON.
    It appears when all images are done.

    Raises:
      ValueError: the network has no such block.
      OSError: the file cannot be written.
    """
    apply = compile_end_point(trained, name)
    metadata = {
        **trained.metadata,
        'end_point': name,
        'classes': list(source.class_names),
    }
    with open_features_file(path, metadata) as add:
        for index, row in _apply_to_views(
            trained,
            source,
            apply,
            'features',
            batch_size=batch_size,
            unreadable=unreadable,
            progress=progress,
        ):
            add(source.ids[index], row)


def _apply_to_views(
    trained: Trained,
    source: Files | Arrays,
    apply: Callable[[dict], dict],
    output: str,
    *,
    crops: int = 1,
    batch_size: int | None = None,
    unreadable: Callable[[Unreadable], None] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the index of the image and the `output` of each view, in order.

    The network computes the next batch while the rows of a batch are used.
    """
    batches = evaluation_batches(
        source,
        batch_size=prediction_batch_size(trained, len(source), batch_size),
        **view_options(trained.network, crops),
        unreadable=unreadable,
    )
    total = len(source)
    with contextlib.closing(batches):
        results = ((batch, apply(batch)[output]) for batch in batches)
        for (batch, values), _ in itertools.pairwise(itertools.chain(results, [None])):
            rows = np.asarray(values)[batch['mask']]
            indices = batch['example'][batch['mask']].tolist()
            yield from zip(indices, rows, strict=True)
            progress(min(total - 1, int(batch['example'].max())))
    progress(total)
