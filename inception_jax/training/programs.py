"""The compiled functions of a run.

Runs that differ only in traced numbers share them: `program(network)`, the recipe and
the mesh determine the functions, so a sweep over scales, rates and seeds compiles once.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.networks.network import Network, program
from inception_jax.parallel.compile import compile_evaluation, compile_step, jit_for
from inception_jax.parallel.mesh import Parallel, platform_of
from inception_jax.runtime.memory import COMPILED
from inception_jax.stability.diagnostics import diagnose, update_ratio
from inception_jax.steps.by_block import select_blocks
from inception_jax.steps.eval_step import eval_step
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.schedules import residual_scale
from inception_jax.steps.state import TrainState
from inception_jax.steps.train_step import train_step
from inception_jax.training.prepare import PreparedRun


class PureFunctions(NamedTuple):
    """The functions of a run before compilation.

    `step` maps (state, batch) to (state, metrics), `diagnose` maps them to a diagnosis.
    Both are made of `classifier` and `augment`.
    """

    classifier: Classifier
    augment: Callable
    step: Callable
    diagnose: Callable


class StepFunctions(NamedTuple):
    """Compiled train steps: (state, batch) to (state, metrics); they donate the state.

    The metrics of `diagnosed_step` hold a `diagnosis` as well.
    """

    step: Callable
    diagnosed_step: Callable


class CompiledFunctions(NamedTuple):
    """The compiled functions of a run.

    `eval_step` maps (variables, residual_scale, batch) to sums over the batch,
    `residual_scale` maps (step, hparams) to float32 [residual blocks].
    """

    steps: StepFunctions
    eval_step: Callable
    residual_scale: Callable


def compiled_functions(run: PreparedRun) -> CompiledFunctions:
    """Returns the compiled functions of a run; each compiles at its first call."""
    experiment = run.experiment
    return compile_functions(
        program(run.network), experiment.recipe, run.mesh, experiment.parallel
    )


@contextlib.contextmanager
def compiled_names() -> Iterator[list[str]]:
    """Collects the names of functions that are compiled in the block.

    A function read from the compilation cache counts. `train_step` has the name
    `jit(train_step)`.
    """
    names: list[str] = []

    def listen(event: str, _: float, *, fun_name: str = '', **__) -> None:
        if event == COMPILED:
            names.append(fun_name)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield names
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def pure_functions(
    network: Network,
    recipe: Recipe,
    batch_norm_axis: str | None,
    platform: str | None = None,
) -> PureFunctions:
    """Returns the functions that a network and a recipe determine.

    Args:
      batch_norm_axis: the mapped axis of devices over which batch norm averages.
      platform: cpu, gpu or tpu; by default that of JAX's first device.
    """
    classifier = Classifier(
        network,
        recipe.batch_norm_decay,
        dtype=jnp.dtype(recipe.dtype),
        batch_norm_axis=batch_norm_axis,
        remat=recipe.remat,
        frozen=select_blocks(network, recipe.frozen),
        execution=recipe.execution,
        platform=platform,
    )
    augmentation = functools.partial(
        augment.augment,
        flip=recipe.flip,
        colour=recipe.colour,
        pixel_range=network.pixel_range,
    )
    common = {'classifier': classifier, 'augment': augmentation}
    return PureFunctions(
        classifier,
        augmentation,
        functools.partial(train_step, recipe=recipe, **common),
        functools.partial(diagnose, recipe=recipe, **common),
    )


def with_diagnosis(
    step: Callable, diagnose: Callable, update_ratio: Callable
) -> StepFunctions:
    """Returns a compiled step without and with the compiled diagnostics."""
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

    def diagnosed_step(state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        before, diagnosis = copy(state.params), diagnose(state, batch)
        state, metrics = step(state, batch)
        diagnosis['gradient_norm'] = metrics['blocks']['gradient_norm']
        diagnosis['update_ratio'] = update_ratio(before, state.params)
        return state, metrics | {'diagnosis': diagnosis}

    return StepFunctions(step, diagnosed_step)


# Four are enough, since members of a sweep are ordered by their programs. A dropped
# entry frees its executables.
@functools.lru_cache(maxsize=4)
def compile_functions(
    network: Network, recipe: Recipe, mesh: Mesh, parallel: Parallel
) -> CompiledFunctions:
    """Returns the compiled functions of all runs with these four values."""
    pure = pure_functions(network, recipe, parallel.batch_norm_axis, platform_of(mesh))
    steps = with_diagnosis(
        compile_step(pure.step, mesh, parallel.mode, donate_state=True),
        compile_step(pure.diagnose, mesh, parallel.mode),
        jit_for(mesh, functools.partial(update_ratio, network=network)),
    )
    scale = functools.partial(augment.to_range, pixel_range=network.pixel_range)
    step = functools.partial(eval_step, classifier=pure.classifier, scale=scale)
    return CompiledFunctions(
        steps, compile_evaluation(step, mesh), jax.jit(residual_scale)
    )
