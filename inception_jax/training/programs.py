"""The compiled functions of a run. Runs that differ in traced numbers alone share them.

Which they are is said by `program`, `Recipe` and the mesh; a sweep of many scales,
rates and seeds compiles once.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
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
from inception_jax.training.validation import validation_errors


class RunFunctions(NamedTuple):
    """The pure functions of a run, not compiled.

    `classifier` and `distort` are what the others are made of; `step` and `look` map
    (state, batch) to (state, metrics) and to a diagnosis.
    """

    classifier: Classifier
    distort: Callable
    step: Callable
    look: Callable


class StepFunctions(NamedTuple):
    """Compiled steps: (state, batch) to (state, metrics); they donate the state.

    The metrics of the second hold a `diagnosis`.
    """

    step: Callable
    diagnosed_step: Callable


class Programs(NamedTuple):
    """The compiled functions of a run.

    `evaluate` maps (state, batches) to the errors of the averages.
    """

    steps: StepFunctions
    evaluate: Callable


def programs(p: PreparedRun) -> Programs:
    """Returns the compiled functions of a run; they compile when first called."""
    chosen = p.experiment
    return _programs(program(p.network), chosen.recipe, p.mesh, chosen.parallel)


@contextlib.contextmanager
def compiled_names() -> Iterator[list[str]]:
    """Collects the names of what is compiled, or read from the folder of compiled
    programs, until the end of the block: `jit(train_step)` for one of `train_step`.
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


def run_functions(
    network: Network,
    recipe: Recipe,
    batch_norm_axis: str | None,
    platform: str | None = None,
) -> RunFunctions:
    """Returns the pure functions that a network and a recipe name.

    Batch norm averages over an axis of devices, or None. `platform` is that of the
    devices, None for the one that JAX runs on.
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
    distort = functools.partial(
        augment.augment,
        flip=recipe.flip,
        colour=recipe.colour,
        pixel_range=network.pixel_range,
    )
    common = {'classifier': classifier, 'augment': distort}
    return RunFunctions(
        classifier,
        distort,
        functools.partial(train_step, recipe=recipe, **common),
        functools.partial(diagnose, accumulation=recipe.accumulation, **common),
    )


def with_diagnosis(step: Callable, look: Callable, moved: Callable) -> StepFunctions:
    """Returns the steps made of a compiled step and the compiled diagnostics."""
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

    def diagnosed_step(state: TrainState, batch: dict) -> tuple[TrainState, dict]:
        before, seen = copy(state.params), look(state, batch)
        state, metrics = step(state, batch)
        seen['gradient_norm'] = metrics['blocks']['gradient_norm']
        seen['update_ratio'] = moved(before, state.params)
        return state, metrics | {'diagnosis': seen}

    return StepFunctions(step, diagnosed_step)


# A few are enough, since members of a sweep come in the order of their programs; what
# is dropped frees its executables.
@functools.lru_cache(maxsize=4)
def _programs(network: Network, recipe: Recipe, mesh: Mesh, how: Parallel) -> Programs:
    classifier, _, step, look = run_functions(
        network, recipe, how.batch_norm_axis, platform_of(mesh)
    )
    steps = with_diagnosis(
        compile_step(step, mesh, how.mode, donate_state=True),
        compile_step(look, mesh, how.mode),
        jit_for(mesh, functools.partial(update_ratio, network=network)),
    )
    scale = functools.partial(augment.to_range, pixel_range=network.pixel_range)
    one_batch = compile_evaluation(
        functools.partial(eval_step, classifier=classifier, scale=scale), mesh
    )
    scales_of = jax.jit(residual_scale)

    def evaluate(state: TrainState, batches: Iterable[dict]) -> dict[str, float]:
        scales = scales_of(state.step, state.hparams)
        return validation_errors(one_batch, state.ema, scales, batches, mesh)

    return Programs(steps, evaluate)
