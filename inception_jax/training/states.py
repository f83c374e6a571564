"""The state of a run after any of its steps.

A train step is a function of the state and of the batch, so every state can be computed
again, bit-exact, from the checkpoint before it.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from inception_jax.config.experiment import recorded_experiment
from inception_jax.networks.network import fingerprint
from inception_jax.parallel.mesh import put_batch
from inception_jax.runs.records import read_unverified_records
from inception_jax.runs.run import Run, fork_step, steps_done
from inception_jax.runs.workdir import CONFIG
from inception_jax.runtime.messages import warn
from inception_jax.runtime.paths import local_path
from inception_jax.steps.schedules import residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.training.batches import batch_stream
from inception_jax.training.observe import RunProgress, observe
from inception_jax.training.prepare import (
    PreparedRun,
    prepare,
    prepare_recorded,
    with_training_images,
)
from inception_jax.training.programs import compiled_functions
from inception_jax.training.resume import newest_checkpoint, state_up_to
from inception_jax.weights.trained import Trained

# The ways to name a run: prepared, read from its folder, or its folder.
AnyRun = PreparedRun | Run | str | os.PathLike[str]


def open_run(run: AnyRun, network: str | None = None) -> PreparedRun:
    """Prepares the run of a folder with its recorded config.

    Args:
      network: the name of the network, which a network of your own needs unless it is
        imported already.

    Raises:
      ValueError: the folder holds no run, its data have changed, or its network is
        code that is not imported yet.
    """
    if isinstance(run, PreparedRun):
        return run
    recorded = run if isinstance(run, Run) else Run(local_path(run))
    workdir = recorded.workdir
    checked = recorded_experiment(recorded.config, workdir / CONFIG, network)
    return prepare(checked, workdir)


def state_at(run: AnyRun, step: int | None = None) -> TrainState:
    """Returns the state of a run after `step` updates.

    The newest checkpoint up to that step is restored, and the steps after it are
    computed again. The parameters are `state.params`, the EMA weights `state.ema`, both
    float32 by block. Without `step` it is the state of the newest checkpoint.

    Args:
      run: a run, or its folder.

    Raises:
      ValueError: there is no such run or step, or the newest checkpoint is missing or
        cannot be read.

    >>> state = state_at('runs/quickstart', step=45)  # doctest: +SKIP
    >>> state_at('no_such_folder', step=45)
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a run with train
    """
    prepared = open_run(run)
    if step is None:
        return newest_checkpoint(prepared)
    return state_and_progress_at(prepared, step)[0]


def state_and_progress_at(
    run: PreparedRun, step: int
) -> tuple[TrainState, RunProgress]:
    """Returns the state after `step` updates, and the progress of the run by then.

    Raises:
      ValueError: the run has not made the step, or starts after it as a fork.
    """
    check_run_step(run, step)
    state, progress = state_up_to(run, step)
    if (first := int(state.step)) < step:
        warn(
            f'{run.workdir} has no checkpoint of step {step}; it is computed again '
            f'from step {first}'
        )
    logged = {
        record['step'] for record in read_unverified_records(run.workdir, 'train')
    }
    for done, state_after, metrics in replay_steps(run, state, step):
        state, progress = state_after, observe(run, progress, [(done, metrics)])
        if done in logged:
            progress = progress._replace(unlogged=[])
    return state, progress


def replay_steps(
    run: PreparedRun, state: TrainState, last: int, *, diagnosed: bool = False
) -> Iterator[tuple[int, TrainState, dict[str, Any]]]:
    """Yields (step, state, metrics) up to step `last`; each step donates its state."""
    run, steps = with_training_images(run), compiled_functions(run).steps
    step = steps.diagnosed_step if diagnosed else steps.step
    first = int(state.step)
    batches = batch_stream(run, start=first)
    for done in range(first + 1, last + 1):
        state, metrics = step(state, put_batch(next(batches), run.mesh))
        yield done, state, jax.device_get(metrics)


def check_run_step(run: PreparedRun, step: int) -> None:
    """Raises ValueError unless the run has made the step."""
    done = max([0, *_known_steps(run.workdir)])
    first = fork_step(run.workdir) or 0
    if not isinstance(step, int) or not first <= step <= done:
        raise ValueError(
            f'the run in {run.workdir} has no step {step!r}; it has steps {first} to '
            f'{done}'
        )


def _known_steps(workdir: Path) -> Iterator[int]:
    """Yields steps that a run is known to have made."""
    yield from (record['step'] for record in read_unverified_records(workdir))
    yield from Run(workdir).checkpoints
    yield steps_done(workdir)


def trained_run(
    workdir: Path,
    step: int | None = None,
    network: str | None = None,
    *,
    raw: bool = False,
) -> Trained:
    """Returns the network of a run, after a step or of its newest checkpoint.

    Args:
      network: the name that the network must have.
      raw: whether to take the raw weights instead of the EMA weights.

    Raises:
      ValueError: there is no such run or step.
    """
    run = prepare_recorded(workdir, network)
    state = state_at(run, step)
    experiment, value = run.experiment, run.network
    metadata = {
        'network': value.name,
        'fingerprint': fingerprint(value),
        'residual_scale': experiment.hparams.get('residual_scale'),
        'seed': experiment.run.seed,
        'step': int(state.step),
        'parameters': 'raw' if raw else 'averages',
    }
    section = {
        name: value
        for name, value in experiment.config['network'].items()
        if value is not None and name != 'classes'
    }
    return Trained(
        network=value,
        section=section,
        variables=state.variables if raw else state.ema,
        scales=jax.device_get(residual_scale(state.step, state.hparams)),
        class_names=run.train_source.class_names,
        dtype=experiment.recipe.dtype,
        mesh=run.mesh,
        metadata=metadata,
        origin=_origin(run, metadata),
        data=experiment.data,
        images=run.identity['data']['evaluation'],
        batch_size=experiment.run.batch_size,
    )


def _origin(run: PreparedRun, metadata: dict[str, Any]) -> dict[str, Any]:
    """Returns the provenance that a weight file of a run records."""
    names = ('seed', 'step', 'parameters')
    origin = {'run': run.workdir.name, **{name: metadata[name] for name in names}}
    if digest := run.identity.get('weights'):
        origin['began with'] = {Path(run.experiment.recipe.init_from).name: digest}
    return origin
