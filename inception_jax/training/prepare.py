"""From an experiment to a run that can start, or one line that says why it cannot."""

import dataclasses
import functools
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jax.sharding import Mesh

from inception_jax.config.experiment import Experiment, experiment
from inception_jax.config.overrides import value_at
from inception_jax.config.sections import RunSection
from inception_jax.data.example import Example
from inception_jax.data.sources.open import Source, open_source
from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.parallel.mesh import check_batch_size, check_processes, device_mesh
from inception_jax.runs.identity import check_workdir, run_identity
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import is_run
from inception_jax.runtime import processes
from inception_jax.runtime.messages import warn
from inception_jax.steps.hparams import Hparams, hparams_for
from inception_jax.training.initial_weights import check_initial_weights


class PreparedRun(NamedTuple):
    """A run that can start: everything a user may have got wrong has been looked at."""

    experiment: Experiment
    workdir: Path
    network: Network
    hparams: Hparams
    train_source: Source
    evaluation_source: Source
    mesh: Mesh
    steps_per_epoch: float
    steps: int
    identity: dict


def prepare(
    chosen: Experiment, workdir: Path, *, weights: str | None = None
) -> PreparedRun:
    """Opens the data and looks into the workdir; compiles and writes nothing.

    Of a fork `weights` are those that its parent began with, by their SHA-256.

    Raises:
      ValueError: the data, the network, the devices and the workdir do not fit
      together.
    """
    data = chosen.data
    sources = [
        open_source(data.source, split, data_dir=data.data_dir)
        for split in (data.train_split, data.evaluation_split)
    ]
    return _with_sources(chosen, workdir, *sources, weights)


def prepare_recorded(workdir: Path) -> PreparedRun:
    """Prepares the run of a folder without its images, to read what it left.

    Their sources are opened when an image is asked for.

    Raises:
      ValueError: there is no run, or it does not fit the devices.
    """
    before = Run(workdir)
    found, names = before.identity, before.class_names
    chosen = experiment(found['config'])
    if names is None:
        return prepare(chosen, workdir)
    images = _counts(workdir, found)
    data = chosen.data
    sources = [
        _Recorded(data.source, split, data.data_dir, images[part], names)
        for part, split in (
            ('train', data.train_split),
            ('evaluation', data.evaluation_split),
        )
    ]
    return _with_sources(chosen, workdir, *sources)


def _counts(workdir: Path, found: Mapping[str, Any]) -> dict[str, int]:
    """Returns how many images a run found in each of its splits."""
    try:
        return {part: int(about['images']) for part, about in found['data'].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f'{workdir / "config.json"} is not a file of a run, or is damaged'
        ) from error


@dataclasses.dataclass(frozen=True)
class _Recorded:
    """A source as a run found it, opened when its first image is asked for."""

    source: str
    split: str
    data_dir: str | None
    images: int
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Example:
        return self._opened[index]

    @functools.cached_property
    def _opened(self) -> Source:
        found = open_source(self.source, self.split, data_dir=self.data_dir)
        if source_digest(found) != source_digest(self):
            raise ValueError(
                f'{self.source} is not what the run was made of; restore its images'
            )
        return found


def _with_sources(
    chosen: Experiment,
    workdir: Path,
    train_source: Source,
    evaluation_source: Source,
    weights: str | None = None,
) -> PreparedRun:
    run = chosen.run
    mesh = device_mesh(chosen.parallel.parameter_devices)
    check_batch_size(run.batch_size, mesh, chosen.recipe.accumulation)
    check_processes(chosen.parallel)
    _check_same_classes(train_source, evaluation_source)
    network = _with_classes(chosen, train_source)
    measure(network)
    steps = _steps(run, len(train_source))
    per_epoch = len(train_source) / run.batch_size
    length = {'epochs': run.epochs, 'steps_per_epoch': per_epoch}
    hparams = hparams_for(network, **chosen.hparams, **length)
    data_seen = {
        'train': source_digest(train_source),
        'evaluation': source_digest(evaluation_source),
    }
    own = chosen.parallel.batch_norm == 'per_device'
    replicas = mesh.size if own else 1
    weights = weights or _weights(
        chosen, workdir, network, hparams, train_source.class_names
    )
    whose = run_identity(network, chosen.config, data_seen, replicas, weights)
    check_workdir(workdir, whose)
    return PreparedRun(
        chosen,
        workdir,
        network,
        hparams,
        train_source,
        evaluation_source,
        mesh,
        per_epoch,
        steps,
        whose,
    )


def _steps(run: RunSection, images: int) -> int:
    """Returns how many steps a run makes."""
    steps = round(run.epochs * (images / run.batch_size))
    if steps < 1:
        raise ValueError(
            f'{run.epochs:g} epochs of {images} images are less than one batch of '
            f'{run.batch_size}; raise config.run.epochs or lower config.run.batch_size'
        )
    return steps


def _weights(
    chosen: Experiment,
    workdir: Path,
    network: Network,
    hparams: Hparams,
    class_names: tuple[str, ...],
) -> str | None:
    """Returns the SHA-256 of the weights that a run begins with, None without any.

    One that is there has told it: it goes on without the file.
    """
    path = chosen.recipe.init_from
    if path is None:
        return None
    before = Run(workdir).identity if is_run(workdir) else {}
    digest, same = (
        before.get('weights'),
        value_at(before, 'config.recipe.init_from') == path,
    )
    if digest and not same and not Path(path).exists():
        warn(f'{path} is not there; the run goes on without it')
        same = True
    if not (digest and same):
        digest = check_initial_weights(
            chosen.recipe,
            network,
            chosen.config['network']['name'],
            hparams,
            class_names,
            own_scales=chosen.hparams.get('residual_scale') is None,
        )
    # All processes ask, whether they have looked at the file or not.
    start = zlib.crc32(str(digest).encode()) >> 1
    if processes.agree(start) != start:
        raise ValueError(
            f'{path} is another file than that of process 0; give all the same weights'
        )
    return digest


def source_digest(source: Source) -> dict:
    """Returns what a run must find again: how many images, and of which classes."""
    names = '\n'.join(source.class_names)
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    return {'images': len(source), 'classes': source.classes, 'class_names': digest}


def _check_same_classes(train: Source, evaluation: Source) -> None:
    if train.class_names != evaluation.class_names:
        odd = sorted(set(train.class_names) ^ set(evaluation.class_names))
        raise ValueError(
            f'the classes of the two splits differ ({", ".join(odd[:3])}, '
            f'{len(odd)} in all); both must hold every class'
        )


def _with_classes(chosen: Experiment, source: Source) -> Network:
    """Returns the network with the classes of the data."""
    if chosen.classes not in (None, source.classes):
        raise ValueError(
            f'config.network.classes is {chosen.classes}, and '
            f'{chosen.data.source} has {source.classes} classes; use '
            f'{source.classes}, or leave it out'
        )
    return dataclasses.replace(chosen.network, classes=source.classes)
