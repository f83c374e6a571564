"""Evaluation of a trained network on the images of a source, with resume."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inception_jax.data.content import (
    check_same_images,
    source_difference,
    source_identity,
)
from inception_jax.data.crops import (
    check_crops,
    mirrored,
    number_of_views,
    view_options,
)
from inception_jax.data.example import Source
from inception_jax.data.pipeline import evaluation_batches, note_unreadable
from inception_jax.data.sources.open import open_source
from inception_jax.evaluation.apply import compile_softmax
from inception_jax.evaluation.compute import compute_probabilities
from inception_jax.evaluation.opened import AnyTrained, opened
from inception_jax.evaluation.probabilities import (
    Probabilities,
    load_probabilities,
    save_probabilities,
)
from inception_jax.parallel.mesh import check_batch_size
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import warn
from inception_jax.training.states import trained_run
from inception_jax.weights.trained import Trained, check_head

# The batch size for each device, for a network that has none of its own.
BATCH_SIZE = 32
# The number of batches between two saves. An interruption loses at most so many; after
# each part the device waits for images.
BATCHES_IN_PART = 64


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation whose options have been checked, so that it can start.

    `batch_size` counts crops. `metadata` is that of the result. `path` is the file of
    the result, or None. `earlier` is what an earlier evaluation left at the path: the
    result, or an interrupted one, whose metadata has `done`.
    """

    trained: Trained
    source: Source
    crops: int
    batch_size: int
    skip_unreadable: bool
    metadata: dict[str, Any]
    path: Path | None
    earlier: Probabilities | None

    @property
    def images_done(self) -> int:
        """The number of images that an interrupted evaluation has done."""
        return self.earlier.metadata.get('done', 0) if self.earlier else 0


def evaluate(
    trained: AnyTrained,
    source: str | None = None,
    split: str | None = None,
    *,
    data_dir: str | None = None,
    crops: int = 1,
    batch_size: int | None = None,
    skip_unreadable: bool = False,
    output: str | Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Evaluates a network on the images of a source.

    Args:
      trained: the network, from `trained`; or a run, or the path of a run or of a
        weight file, which is opened as by `trained`.
      source: the images, as in `open_source`. A run is evaluated on its own source by
        default; a weight file needs a source.
      split: the split of the source, by default the evaluation split of the run.
      data_dir: the folder of TFDS.
      crops: the number of crops of an image: 1, 10, 12 or 144.
      batch_size: the number of crops in a batch, by default the batch size of the run,
        or 32 a device.
      skip_unreadable: leave out images that cannot be read, instead of an error.
      output: a file for the probabilities. An interrupted evaluation resumes from this
        file; a finished one is read from it.
      progress: called with the number of images that are done.

    Returns:
      The probabilities; their `scores` are the errors in percent with 95 % intervals.

    Raises:
      ValueError: the source does not exist or has other classes than the network, the
        batch does not divide over the devices, or `output` holds another evaluation.
      Unreadable: an image cannot be read.
      OSError: the file cannot be written.

    >>> import inception_jax as ij
    >>> from inception_jax.evaluation.trained import TrainedNetwork
    >>> stem = ij.one('stem', ij.conv(4, 3, 2))
    >>> tiny = ij.network('tiny', stem, classes=3, input_size=16)
    >>> trained = TrainedNetwork.from_variables(tiny, ij.init(tiny))
    >>> probabilities = evaluate(trained, source='synthetic:6/3', split='test')
    >>> probabilities
    Probabilities(6 images, 3 classes, tiny)
    >>> probabilities.scores.images
    6
    """
    evaluation = prepare_evaluation(
        opened(trained),
        None if output is None else Path(output),
        source=source,
        split=split,
        data_dir=data_dir,
        crops=crops,
        batch_size=batch_size,
        skip_unreadable=skip_unreadable,
    )
    return run_evaluation(evaluation, progress)


def prepare_evaluation(
    trained: Trained,
    path: Path | None,
    *,
    crops: int,
    source: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    batch_size: int | None = None,
    skip_unreadable: bool = False,
) -> Evaluation:
    """Checks the options of an evaluation and computes nothing; see `evaluate`.

    Raises:
      ValueError: as `evaluate`.
    """
    check_crops(crops)
    images, spec, split = _open_images(trained, source, split, data_dir)
    if batch_size == 0:
        raise ValueError('a batch of 0 crops; expected 1 or more')
    batch_size = batch_size or trained.batch_size or BATCH_SIZE * trained.mesh.size
    check_batch_size(batch_size, trained.mesh)
    identity = source_identity(images)
    _check_images_of_run(trained, spec, split, identity)
    metadata = {
        # Through JSON, to compare with the metadata of a file.
        **json.loads(json.dumps(trained.metadata)),
        'crops': crops,
        'crop_fraction': trained.network.crop_fraction,
        'source': spec,
        'split': split,
        'classes': list(images.class_names),
        'images': identity,
    }
    earlier = _load_earlier(path, metadata) if path else None
    return Evaluation(
        trained, images, crops, batch_size, skip_unreadable, metadata, path, earlier
    )


def prepare_run_evaluation(workdir: Path, *, crops: int) -> Evaluation:
    """Prepares the evaluation of a run's newest checkpoint on the run's own source.

    Raises:
      ValueError: the run does not exist, or its file holds another evaluation.
    """
    path = workdir / f'probabilities-{crops}.npz'
    return prepare_evaluation(trained_run(workdir), path, crops=crops)


def run_evaluation(
    evaluation: Evaluation, progress: Callable[[int], None] = lambda done: None
) -> Probabilities:
    """Computes the probabilities and writes their file, or returns the finished result.

    `progress` is called with the number of images that are done.

    Raises:
      Unreadable: an image cannot be read, and `skip_unreadable` is False.
      OSError: the file cannot be written.
    """
    earlier, path = evaluation.earlier, evaluation.path
    if earlier is not None and 'done' not in earlier.metadata:
        return earlier
    views = number_of_views(evaluation.crops)
    probabilities = compute_probabilities(
        compile_softmax(evaluation.trained, mirrored=mirrored(evaluation.crops)),
        lambda source, indices: _batches(evaluation, source, indices),
        evaluation.source,
        views=views,
        part_size=max(1, BATCHES_IN_PART // views) * evaluation.batch_size,
        metadata=evaluation.metadata,
        earlier=earlier,
        partial_path=_partial_path(path) if path else None,
        progress=progress,
    )
    if path:
        save_probabilities(path, probabilities)
    return probabilities


def _batches(
    evaluation: Evaluation, source: Source, indices: range
) -> Iterator[dict[str, Any]]:
    return evaluation_batches(
        source,
        batch_size=evaluation.batch_size,
        **view_options(evaluation.trained.network, evaluation.crops),
        indices=indices,
        unreadable=note_unreadable if evaluation.skip_unreadable else None,
    )


def _open_images(
    trained: Trained, source: str | None, split: str | None, data_dir: str | None
) -> tuple[Source, str, str | None]:
    """Returns the images to evaluate on, and the names of their source and split."""
    data = trained.data
    if data:
        source = source or data.source
        split, data_dir = split or data.evaluation_split, data_dir or data.data_dir
    if source is None:
        raise ValueError(
            'a weight file has no images of its own; name a source and a split, e.g. '
            'the source folder:PATH and the split val'
        )
    check_head(trained)
    images = open_source(source, split, data_dir=data_dir)
    names = trained.class_names
    if images.class_names != names:
        raise ValueError(
            f'{source} has {counted(images.classes, "class", "classes")} '
            f'({images.class_names[0]}, ...), and the network knows {len(names)} '
            f'({names[0]}, ...); evaluate on images of the same classes'
        )
    return images, source, split


def _check_images_of_run(
    trained: Trained, source: str, split: str | None, identity: dict[str, Any]
) -> None:
    """Raises ValueError if the images that a run was evaluated on have changed."""
    data = trained.data
    if data is None or (source, split) != (data.source, data.evaluation_split):
        return
    check_same_images(
        trained.images,
        identity,
        f'the images of {source} in {split} have changed since the run was trained',
        'restore them, or name another source',
    )


def _load_earlier(path: Path, metadata: dict[str, Any]) -> Probabilities | None:
    """Returns the finished or interrupted evaluation at a path, None without one.

    Raises:
      ValueError: the file holds another evaluation.
    """
    for place in (path, _partial_path(path)):
        if not place.exists():
            continue
        earlier = load_probabilities(place)
        if 'images' not in earlier.metadata:
            warn(f'{place} is of an older version, which did not record the images')
            metadata = {n: value for n, value in metadata.items() if n != 'images'}
        different = [
            _difference(name, earlier.metadata.get(name), value)
            for name, value in metadata.items()
            if earlier.metadata.get(name) != value
        ]
        if different:
            raise ValueError(
                f'{place} holds another evaluation ({"; ".join(different)}); remove it '
                'or name another output'
            )
        return earlier
    return None


def _difference(name: str, before: Any, now: Any) -> str:
    """Returns the difference of two evaluations in a field, in words."""
    if name == 'images':
        return f'other images: {source_difference(before, now)}'
    if name == 'classes':
        return 'other classes'
    return f'{name} {before!r:.60} there, {now!r:.60} here'


def _partial_path(path: Path) -> Path:
    return path.with_name(f'{path.name}.part')
