"""The state of a run after any of its steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from inception_jax.config.experiment import experiment
from inception_jax.networks.network import fingerprint
from inception_jax.parallel.mesh import put_batch
from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run, fork_step
from inception_jax.steps.schedules import residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.training.loop import batch_stream
from inception_jax.training.observe import RunProgress, observe
from inception_jax.training.prepare import PreparedRun, prepare, prepare_recorded
from inception_jax.training.programs import programs
from inception_jax.training.resume import newest_state
from inception_jax.weights.trained import Trained


def open_run(workdir: Path) -> PreparedRun:
    """Prepares the run of a folder, by its own config.

    Raises:
      ValueError: there is no run.
    """
    return prepare(experiment(Run(workdir).config), workdir)


def state_at(p: PreparedRun, step: int) -> tuple[TrainState, RunProgress]:
    """Returns the state after `step` updates, and what was seen by then.

    It comes from the newest checkpoint up to that step, or from the beginning, by the
    run's own steps.

    Raises:
      ValueError: the run has not come so far, or began later as a fork.
    """
    check_run_step(p, step)
    state, seen = newest_state(p, at=step)
    logged = {record['step'] for record in read_records(p.workdir, 'train')}
    for done, after, metrics in replay_steps(p, state, step):
        state, seen = after, observe(p, seen, [(done, metrics)])
        if done in logged:
            seen = seen._replace(interval=[])
    return state, seen


def replay_steps(
    p: PreparedRun, state: TrainState, last: int, *, diagnosed: bool = False
) -> Iterator[tuple[int, TrainState, dict[str, Any]]]:
    """Yields (step, state, metrics) of the steps up to `last`; each takes the state."""
    steps = programs(p).steps
    step = steps.diagnosed_step if diagnosed else steps.step
    first = int(state.step)
    batches = batch_stream(p, start=first)
    for done in range(first + 1, last + 1):
        state, metrics = step(state, put_batch(next(batches), p.mesh))
        yield done, state, jax.device_get(metrics)


def check_run_step(p: PreparedRun, step: int) -> None:
    """Raises ValueError unless the run in its folder has come to the step."""
    done = max([0, *_known_steps(p.workdir)])
    (begun,) = fork_step(p.workdir) or (0,)
    if not begun <= step <= done:
        raise ValueError(
            f'step {step} is not one of the run in {p.workdir}, which has steps '
            f'{begun} to {done}'
        )


def _known_steps(workdir: Path) -> Iterator[int]:
    """Yields steps that a run is known to have made."""
    yield from (record['step'] for record in read_records(workdir))
    yield from Run(workdir).checkpoints
    if outcome := Run(workdir).readable_outcome:
        yield outcome['steps_done']


def trained_run(workdir: Path, step: int | None = None) -> Trained:
    """Returns the averages of a run, after a step or of its newest checkpoint.

    Raises:
      ValueError: there is no such run or step.
    """
    p = prepare_recorded(workdir)
    state, _ = newest_state(p) if step is None else state_at(p, step)
    chosen = p.experiment
    about = {
        'network': p.network.name,
        'fingerprint': fingerprint(p.network),
        'residual_scale': chosen.hparams.get('residual_scale'),
        'seed': chosen.run.seed,
        'step': int(state.step),
        'parameters': 'averages',
    }
    given = chosen.config['network'].items()
    section = {n: x for n, x in given if x is not None and n != 'classes'}
    return Trained(
        network=p.network,
        section=section,
        variables=state.ema,
        scales=jax.device_get(residual_scale(state.step, state.hparams)),
        class_names=p.train_source.class_names,
        dtype=chosen.recipe.dtype,
        mesh=p.mesh,
        about=about,
        origin=_origin(p, about),
        data=chosen.data,
        images=p.identity['data']['evaluation'],
        batch_size=chosen.run.batch_size,
    )


def _origin(p: PreparedRun, about: dict[str, Any]) -> dict[str, Any]:
    """Returns how the weights of a run came to be."""
    names = ('seed', 'step', 'parameters')
    origin = {'run': p.workdir.name, **{name: about[name] for name in names}}
    if digest := p.identity.get('weights'):
        origin['began with'] = {Path(p.experiment.recipe.init_from).name: digest}
    return origin
