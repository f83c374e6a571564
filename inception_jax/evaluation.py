"""An evaluation of a run's network on any images: what is asked, and the answer."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from inception_jax import history, parallel, probabilities
from inception_jax.data.crops import mirrored, number_of_views
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.data.sources import Source, open_source
from inception_jax.networks.network import fingerprint
from inception_jax.prepare import Prepared
from inception_jax.probabilities import Probabilities
from inception_jax.programs import softmax_of
from inception_jax.resume import newest
from inception_jax.state import TrainState

# A lost process costs so many batches; between them the device waits for images.
BATCHES = 64


class Asked(NamedTuple):
    """An evaluation: of which images and how, and what its file says of it."""

    source: Source
    batch_size: int
    skip: bool
    about: dict


def asked(
    p: Prepared,
    step: int,
    *,
    crops: int,
    source: str | None,
    split: str | None,
    data_dir: str | None,
    batch_size: int | None,
    skip: bool,
) -> Asked:
    """Returns an evaluation of a run after a step; None is as in the run's config.

    Raises:
      ValueError: there are no such images, they have other classes than the network, or
        the batch does not divide over the devices.
    """
    data = p.experiment.data
    spec, part = source or data.source, split or data.evaluation_split
    images = open_source(spec, part, data_dir=data_dir or data.data_dir)
    if images.class_names != p.train_source.class_names:
        raise ValueError(
            f'{spec} has {images.classes} classes ({images.class_names[0]}, ...), and '
            f'the run has learnt {p.train_source.classes} '
            f'({p.train_source.class_names[0]}, ...); evaluate on images of the same'
        )
    batch_size = p.experiment.run.batch_size if batch_size is None else batch_size
    if not batch_size:
        raise ValueError('a batch of 0 crops; expected 1 or more')
    parallel.check_batch_size(batch_size, p.mesh)
    about = {
        'network': p.network.name,
        'fingerprint': fingerprint(p.network),
        'residual_scale': p.experiment.hparams.get('residual_scale'),
        'seed': p.experiment.run.seed,
        'step': step,
        'parameters': 'averages',
        'crops': crops,
        'crop_fraction': p.network.crop_fraction,
        'source': spec,
        'split': part,
        'classes': list(images.class_names),
    }
    return Asked(images, batch_size, skip, about)


class Ready(NamedTuple):
    """An evaluation that can start: the run, its state, and what is there already.

    `path` is where the probabilities go.
    """

    prepared: Prepared
    state: TrainState
    asked: Asked
    path: Path
    begun: Probabilities | None


def ready(
    workdir: Path,
    *,
    crops: int,
    step: int | None = None,
    output: Path | None = None,
    source: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    batch_size: int | None = None,
    skip: bool = False,
) -> Ready:
    """Opens a run for an evaluation after a step, the newest one if not given.

    Raises:
      ValueError: there is no such run or step, the images do not fit it, or the file
        holds something else.
    """
    p = history.opened(workdir)
    state, _ = newest(p) if step is None else history.state_at(p, step)
    found = asked(
        p,
        int(state.step),
        crops=crops,
        source=source,
        split=split,
        data_dir=data_dir,
        batch_size=batch_size,
        skip=skip,
    )
    path = output or workdir / f'probabilities-{crops}.npz'
    return Ready(p, state, found, path, _known(found, path))


def done(one: Ready) -> int:
    """Returns how many images are done of an evaluation that was interrupted."""
    return one.begun.about.get('done', 0) if one.begun else 0


def answer(one: Ready, told: Callable[[int], None]) -> Probabilities:
    """Returns what is there, or evaluates; `told` is told how many images are done.

    Raises:
      Unreadable: an image cannot be read, unless such are skipped.
      OSError: the file cannot be written.
    """
    if one.begun is not None and 'done' not in one.begun.about:
        return one.begun
    return _made(one, told)


def _known(asked: Asked, path: Path) -> Probabilities | None:
    """Returns what there is of the evaluation: all of it at the path, or its beginning.

    Raises:
      ValueError: the file holds something else.
    """
    for place in (path, _kept(path)):
        if not place.exists():
            continue
        found = probabilities.load(place)
        if {name: found.about.get(name) for name in asked.about} != asked.about:
            raise ValueError(
                f'{place} holds another evaluation; remove it or name another --output'
            )
        return found
    return None


def _made(one: Ready, told: Callable[[int], None]) -> Probabilities:
    """Evaluates, and writes the file; what is done is kept beside it."""
    p, state, asked, path, begun = one
    crops = asked.about['crops']
    views = number_of_views(crops)

    def batches(source: Source, some: range) -> Iterator[dict]:
        return evaluation_batches(
            source,
            batch_size=asked.batch_size,
            size=p.network.input_size,
            crops=crops,
            crop_fraction=p.network.crop_fraction,
            some=some,
            skip=asked.skip,
        )

    found = probabilities.compute(
        softmax_of(p, state, mirrored=mirrored(crops)),
        batches,
        asked.source,
        views=views,
        stretch=max(1, BATCHES // views) * asked.batch_size,
        about=asked.about,
        begun=begun,
        kept=_kept(path),
        told=told,
    )
    probabilities.save(path, found)
    return found


def _kept(path: Path) -> Path:
    return path.with_name(f'{path.name}.part')
