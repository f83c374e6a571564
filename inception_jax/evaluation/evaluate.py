"""An evaluation of a trained network on any images: what is asked, and the answer."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from inception_jax.data.crops import mirrored, number_of_views, view_options
from inception_jax.data.pipeline import evaluation_batches, note_unreadable
from inception_jax.data.sources.open import Source, open_source
from inception_jax.evaluation import probabilities
from inception_jax.evaluation.apply import compile_softmax
from inception_jax.evaluation.probabilities import Probabilities
from inception_jax.parallel.mesh import check_batch_size
from inception_jax.training.prepare import source_digest as about_images
from inception_jax.training.states import trained_run
from inception_jax.weights.trained import Trained

# Of a weight file, for each device.
BATCH_SIZE = 32
# A lost process costs so many batches; between them the device waits for images.
BATCHES = 64


class EvaluationRequest(NamedTuple):
    """An evaluation: of which images and how, and what its file says of it."""

    source: Source
    batch_size: int
    skip: bool
    about: dict


class Evaluation(NamedTuple):
    """An evaluation that can start: of what, and what is there of it already.

    `path` is where the probabilities go.
    """

    subject: Trained
    asked: EvaluationRequest
    path: Path
    begun: Probabilities | None


def prepare_evaluation(
    subject: Trained,
    path: Path,
    *,
    crops: int,
    source: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    batch_size: int | None = None,
    skip: bool = False,
) -> Evaluation:
    """Returns an evaluation, of a run on its own images if no others are named.

    Raises:
      ValueError: there are no such images, they have other classes than the network,
        the batch does not divide over the devices, or the file holds something else.
    """
    images, spec, part = _images(subject, source, split, data_dir)
    if batch_size == 0:
        raise ValueError('a batch of 0 crops; expected 1 or more')
    of_file = BATCH_SIZE * subject.mesh.size
    batch_size = batch_size or subject.batch_size or of_file
    check_batch_size(batch_size, subject.mesh)
    # As JSON has it, to compare with a file.
    about = {
        **json.loads(json.dumps(subject.about)),
        'crops': crops,
        'crop_fraction': subject.network.crop_fraction,
        'source': spec,
        'split': part,
        'classes': list(images.class_names),
    }
    asked = EvaluationRequest(images, batch_size, skip, about)
    return Evaluation(subject, asked, path, _known(asked, path))


def prepare_run_evaluation(workdir: Path, *, crops: int) -> Evaluation:
    """Returns the evaluation of a run's newest checkpoint on its own images.

    Raises:
      ValueError: there is no such run, or its file holds something else.
    """
    path = workdir / f'probabilities-{crops}.npz'
    return prepare_evaluation(trained_run(workdir), path, crops=crops)


def _images(
    subject: Trained, source: str | None, split: str | None, data_dir: str | None
) -> tuple[Source, str, str | None]:
    """Returns images to evaluate on, their source and their split."""
    data = subject.data
    if data:
        source = source or data.source
        split, data_dir = split or data.evaluation_split, data_dir or data.data_dir
    if source is None:
        raise ValueError(
            'a weight file has no images of its own; add --source SOURCE and --split '
            'NAME'
        )
    images, names = open_source(source, split, data_dir=data_dir), subject.class_names
    if images.class_names != names:
        raise ValueError(
            f'{source} has {images.classes} classes ({images.class_names[0]}, ...), '
            f'and the network knows {len(names)} ({names[0]}, ...); evaluate on images '
            'of the same'
        )
    mine = data and (source, split) == (data.source, data.evaluation_split)
    if mine and about_images(images) != subject.images:
        raise ValueError(
            f'{source} has {len(images):,} images in {split}, and the run evaluated '
            f'{subject.images["images"]:,}; restore them, or name others by --source'
        )
    return images, source, split


def images_done(one: Evaluation) -> int:
    """Returns how many images are done of an evaluation that was interrupted."""
    return one.begun.about.get('done', 0) if one.begun else 0


def evaluate(one: Evaluation, told: Callable[[int], None]) -> Probabilities:
    """Returns what is there, or evaluates; `told` is told how many images are done.

    Raises:
      Unreadable: an image cannot be read, unless such are skipped.
      OSError: the file cannot be written.
    """
    if one.begun is not None and 'done' not in one.begun.about:
        return one.begun
    return _made(one, told)


def _known(asked: EvaluationRequest, path: Path) -> Probabilities | None:
    """Returns what there is of the evaluation: all of it at the path, or its beginning.

    Raises:
      ValueError: the file holds something else.
    """
    for place in (path, _kept(path)):
        if not place.exists():
            continue
        found = probabilities.load_probabilities(place)
        if {name: found.about.get(name) for name in asked.about} != asked.about:
            raise ValueError(
                f'{place} holds another evaluation; remove it or name another --output'
            )
        return found
    return None


def _made(one: Evaluation, told: Callable[[int], None]) -> Probabilities:
    """Evaluates, and writes the file; what is done is kept beside it."""
    subject, asked, path, begun = one
    crops = asked.about['crops']
    views = number_of_views(crops)

    def batches(source: Source, some: range) -> Iterator[dict]:
        return evaluation_batches(
            source,
            batch_size=asked.batch_size,
            **view_options(subject.network, crops),
            indices=some,
            unreadable=note_unreadable if asked.skip else None,
        )

    found = probabilities.compute_probabilities(
        compile_softmax(subject, mirrored=mirrored(crops)),
        batches,
        asked.source,
        views=views,
        stretch=max(1, BATCHES // views) * asked.batch_size,
        about=asked.about,
        begun=begun,
        kept=_kept(path),
        told=told,
    )
    probabilities.save_probabilities(path, found)
    return found


def _kept(path: Path) -> Path:
    return path.with_name(f'{path.name}.part')
