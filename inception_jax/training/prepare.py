"""From an experiment to a run that can start, or one line that says why it cannot."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from inception_jax.config.experiment import Experiment, recorded_experiment
from inception_jax.config.overrides import value_at
from inception_jax.config.sections import RunSection
from inception_jax.data.content import source_difference, source_identity
from inception_jax.data.example import Example, check_same_classes, notes
from inception_jax.data.prefetch import batches_in_memory, cores, worker_count
from inception_jax.data.sources.open import Source, open_source
from inception_jax.networks.describe.table import params
from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.parallel.mesh import check_batch_size, check_processes, device_mesh
from inception_jax.runs.identity import check_workdir, has_begun, run_identity
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import CONFIG, check_workdir_path, is_run
from inception_jax.runtime.amounts import counted, memory_text
from inception_jax.runtime.json_files import misfit
from inception_jax.runtime.memory import machine_memory
from inception_jax.runtime.messages import warn, warn_once
from inception_jax.steps.batch_statistics import check_batch_norm
from inception_jax.steps.hparams import Hparams, hparams_for
from inception_jax.training.initial_weights import check_initial_weights

# The parts of the data of a run, as its identity names them.
PARTS = ('train', 'evaluation')
# A step is an int32 on the devices.
MOST_STEPS = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class PreparedRun:
    """A run that can start: the config, the data, the devices and the workdir agree.

    `network` has the number of classes of the data. `steps_per_epoch` may be a
    fraction; `steps` is the total. `identity` is what a resume must match, as JSON.
    """

    experiment: Experiment
    workdir: Path
    network: Network
    hparams: Hparams
    train_source: Source
    evaluation_source: Source
    mesh: Mesh
    steps_per_epoch: float
    steps: int
    identity: dict[str, Any]


def open_identified(
    spec: str, split: str, data_dir: str | None
) -> tuple[Source, dict[str, Any]]:
    """Opens a split of a data set and returns it with its identity.

    Raises:
      ValueError: the data set or the split does not exist.
    """
    source = open_source(spec, split, data_dir=data_dir)
    return source, source_identity(source)


def prepare(
    experiment: Experiment,
    workdir: Path,
    *,
    initial_weights: str | None = None,
    open_images: Callable[..., tuple[Source, dict[str, Any]]] = open_identified,
) -> PreparedRun:
    """Opens the data and checks the workdir; compiles and writes nothing.

    Args:
      initial_weights: the SHA-256 of the initial weights. A fork has those of its
        parent; by default the file `recipe.init_from` is checked.
      open_images: `open_identified`, cached if several runs have the same images.

    Raises:
      ValueError: the data, the network, the devices and the workdir do not agree.
    """
    data = experiment.data
    (train_source, train), (evaluation_source, evaluation) = (
        open_images(data.source, split, data.data_dir)
        for split in (data.train_split, data.evaluation_split)
    )
    identities = {'train': train, 'evaluation': evaluation}
    run = _prepare_with(
        experiment,
        workdir,
        train_source,
        evaluation_source,
        identities,
        initial_weights,
    )
    for note in (*notes(train_source), *notes(evaluation_source)):
        warn_once(note)
    return run


def prepare_recorded(workdir: Path, network: str | None = None) -> PreparedRun:
    """Prepares the run of a folder, to read its results, without its images.

    The sources open when an image is asked for. `network` is the name that the network
    must have.

    Raises:
      ValueError: there is no run, or it does not fit the devices.
    """
    identity, class_names = Run(workdir).identity, Run(workdir).class_names
    chosen = recorded_experiment(identity['config'], workdir / CONFIG, network)
    if class_names is None:
        return prepare(chosen, workdir)
    identities = _recorded_identities(workdir, identity)
    data = chosen.data
    train_source, evaluation_source = (
        _RecordedSource(
            data.source, split, data.data_dir, identities[part], class_names
        )
        for part, split in (
            ('train', data.train_split),
            ('evaluation', data.evaluation_split),
        )
    )
    return _prepare_with(chosen, workdir, train_source, evaluation_source, identities)


def _recorded_identities(workdir: Path, identity: Mapping[str, Any]) -> dict[str, dict]:
    """Returns the identities of the two sources of a recorded run."""
    data = identity.get('data', {})
    for part in PARTS:
        reason = misfit(data.get(part), {'images': int})
        if reason or data[part]['images'] < 0:
            raise ValueError(
                f'{workdir / CONFIG} is not a file of a run, or is damaged (data '
                f'{part}: {reason or "a negative number of images"}); restore it from '
                'a copy'
            )
    return {part: dict(data[part]) for part in PARTS}


@dataclasses.dataclass(frozen=True)
class _RecordedSource:
    """A split as a run recorded it; `with_training_images` opens it."""

    source: str
    split: str
    data_dir: str | None
    identity: Mapping[str, Any]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def listing(self) -> Iterable[tuple[str, str]]:
        return self.open().listing()

    def __len__(self) -> int:
        return self.identity['images']

    def __getitem__(self, index: int) -> Example:
        return self.open()[index]

    def open(self) -> Source:
        source = open_source(self.source, self.split, data_dir=self.data_dir)
        # Steps that are computed again need every bit of the images.
        if changed := source_difference(self.identity, source_identity(source)):
            raise ValueError(
                f'{self.source} has changed since the run was trained ({changed}), so '
                'its steps cannot be computed again; restore its images, or name the '
                'step of a checkpoint'
            )
        return source


def with_training_images(run: PreparedRun) -> PreparedRun:
    """Opens the training images of a run that `prepare_recorded` prepared.

    Raises:
      ValueError: the images are missing or have changed.
    """
    source = run.train_source
    if not isinstance(source, _RecordedSource):
        return run
    return dataclasses.replace(run, train_source=source.open())


def _prepare_with(
    experiment: Experiment,
    workdir: Path,
    train_source: Source,
    evaluation_source: Source,
    identities: Mapping[str, Mapping[str, Any]],
    initial_weights: str | None = None,
) -> PreparedRun:
    """Prepares a run; `identities` are those of its images, by split."""
    check_workdir_path(workdir)
    settings, parallel, data = experiment.run, experiment.parallel, experiment.data
    mesh = device_mesh(parallel.parameter_devices)
    check_batch_size(settings.batch_size, mesh, experiment.recipe.accumulation)
    check_processes(parallel)
    check_same_classes(train_source, evaluation_source)
    network = _with_classes(experiment, train_source)
    check_batch_norm(
        network, sharing_images(experiment, mesh), experiment.recipe.frozen
    )
    check_memory(network, settings.batch_size, data.workers)
    steps = _number_of_steps(settings, len(train_source))
    steps_per_epoch = len(train_source) / settings.batch_size
    hparams = hparams_for(
        network,
        **experiment.hparams,
        epochs=settings.epochs,
        steps_per_epoch=steps_per_epoch,
    )
    identity = run_identity(
        network,
        experiment.config,
        identities,
        mesh.size if parallel.batch_norm == 'per_device' else 1,
        initial_weights
        or _initial_weights(
            experiment, workdir, network, hparams, train_source.class_names
        ),
    )
    check_workdir(workdir, identity)
    return PreparedRun(
        experiment=experiment,
        workdir=workdir,
        network=network,
        hparams=hparams,
        train_source=train_source,
        evaluation_source=evaluation_source,
        mesh=mesh,
        steps_per_epoch=steps_per_epoch,
        steps=steps,
        identity=identity,
    )


def sharing_images(experiment: Experiment, mesh: Mesh) -> int:
    """Returns the number of images that share batch statistics."""
    per_device = experiment.parallel.batch_norm == 'per_device'
    images = experiment.run.batch_size // experiment.recipe.accumulation
    return images // mesh.size if per_device else images


def check_memory(network: Network, batch_size: int, workers: int | None = None) -> None:
    """Raises ValueError if a run can never fit in the memory of this machine.

    A run holds at least the parameters, their EMA weights and an optimizer's state, and
    the batches that this process loads at the same time.
    """
    parameters = sum(params(network, block) for block in measure(network))
    images, size = batch_size // jax.process_count(), network.input_size
    batch_bytes = 3 * images * size**2
    batches = batches_in_memory(worker_count(workers, cores(), batch_bytes))
    loaded, needed = batches * batch_bytes, 3 * 4 * parameters
    memory = machine_memory()
    if needed + loaded > memory:
        advice = (
            'lower config.run.batch_size, e.g. to 32'
            if loaded > needed
            else 'lower config.network.width and depth'
        )
        raise ValueError(
            f'{network.name} with {parameters:,} parameters and '
            f'{counted(batches, "batch", "batches")} of {counted(images, "image")} of '
            f'{size} pixels needs more than {memory_text(needed + loaded)}, and this '
            f'machine has {memory_text(memory)}; {advice}'
        )


def _number_of_steps(settings: RunSection, images: int) -> int:
    steps = round(settings.epochs * (images / settings.batch_size))
    if steps > MOST_STEPS:
        raise ValueError(
            f'config.run.epochs {settings.epochs:g} of {counted(images, "image")} '
            f'makes {steps:.3g} steps; expected up to {MOST_STEPS:,}'
        )
    if steps < 1:
        raise ValueError(
            f'the run would make no step: {counted(settings.epochs, "epoch")} of '
            f'{counted(images, "image")} fill less than half a batch of '
            f'{counted(settings.batch_size, "image")}; lower config.run.batch_size to '
            f'{images:,} or less, or raise config.run.epochs'
        )
    return steps


def _initial_weights(
    experiment: Experiment,
    workdir: Path,
    network: Network,
    hparams: Hparams,
    class_names: tuple[str, ...],
) -> str | None:
    """Returns the SHA-256 of the weights that a run starts from, None without any.

    A run that has made steps has recorded it, so it resumes without the file.
    """
    path = experiment.recipe.init_from
    if path is None:
        return None
    resumes = is_run(workdir) and has_begun(workdir)
    recorded = Run(workdir).identity if resumes else {}
    digest = recorded.get('weights')
    is_recorded = value_at(recorded, 'config.recipe.init_from') == path
    if digest and not is_recorded and not Path(path).exists():
        warn(f'there is no file {path}; the run resumes without it')
        is_recorded = True
    if not (digest and is_recorded):
        digest = check_initial_weights(
            experiment.recipe,
            network,
            experiment.config['network']['name'],
            hparams,
            class_names,
            scales_of_network=experiment.hparams.get('residual_scale') is None,
        )
    return digest


def _with_classes(experiment: Experiment, source: Source) -> Network:
    """Returns the network with the number of classes of the data."""
    if experiment.classes not in (None, source.classes):
        classes = counted(source.classes, 'class', 'classes')
        raise ValueError(
            f'config.network.classes is {experiment.classes}, and '
            f'{experiment.data.source} has {classes}; use {source.classes}, or None'
        )
    return dataclasses.replace(experiment.network, classes=source.classes)
