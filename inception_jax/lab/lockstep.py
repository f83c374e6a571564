"""Several runs at the same time, with one call for a step of all of them.

Their states are stacked along a leading axis `member`. On one device the step is mapped
over that axis; on several, each device computes one member. A member makes the steps
that it would make alone, up to rounding, which grows from step to step.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from inception_jax.networks.network import Network, program
from inception_jax.parallel import members
from inception_jax.runtime import processes
from inception_jax.stability.diagnostics import update_ratio
from inception_jax.steps.recipe import Recipe
from inception_jax.training.batches import batch_stream
from inception_jax.training.loop import (
    Interval,
    Outcome,
    RunOutputs,
    after_interval,
    intervals,
    open_outputs,
    verdict_ends,
)
from inception_jax.training.observe import RunProgress
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import (
    StepFunctions,
    pure_functions,
    with_diagnosis,
)
from inception_jax.training.progress import ProgressBar
from inception_jax.training.run import Starts


def lockstep_key(run: PreparedRun) -> tuple:
    """Returns the values that members must share: lengths, and when actions are due."""
    settings = dataclasses.replace(run.experiment.run, seed=0)
    return settings, run.steps, run.steps_per_epoch


def train_members(
    runs: Sequence[PreparedRun], starts: Starts, engine: str
) -> list[Outcome]:
    """Trains members from their states to the last step, as `train_from` does one.

    Members must agree in program and `lockstep_key`. Members that start at different
    steps train in groups of the same step. `starts` is emptied, so that no state is on
    the devices twice.
    """
    outcomes = [
        Outcome(
            step=int(state.step),
            steps=run.steps,
            verdict=progress.verdict_state.verdict,
        )
        for run, (state, progress) in zip(runs, starts, strict=True)
    ]
    first_steps = [outcome.step for outcome in outcomes]
    left = dict(enumerate(starts))
    starts.clear()
    for first in sorted(set(first_steps)):
        places = [i for i in left if first_steps[i] == first]
        group = [runs[i] for i in places]
        group_outcomes = _train_group(group, [left.pop(i) for i in places], engine)
        for place, outcome in zip(places, group_outcomes, strict=True):
            outcomes[place] = outcome
        if any(outcome.signal for outcome in group_outcomes):
            break
    return outcomes


def _train_group(
    runs: Sequence[PreparedRun], starts: Starts, engine: str
) -> list[Outcome]:
    """Trains members that start at the same step."""
    run, first = runs[0], int(starts[0][0].step)
    mesh = members.member_mesh(len(runs)) if engine == 'devices' else None
    steps = _compile_steps(program(run.network), run.experiment.recipe, mesh)
    states = members.place_members([state for state, _ in starts], mesh)
    progresses = [progress for _, progress in starts]
    last_steps = [run.steps] * len(runs)
    starts.clear()
    streams = zip(*(batch_stream(r, start=first) for r in runs), strict=True)
    batches = (members.place_members(together, mesh) for together in streams)
    done, batch_size = first, run.experiment.run.batch_size
    with contextlib.ExitStack() as stack:
        bar = ProgressBar(run.steps, first, batch_size, lines=False)
        stack.enter_context(contextlib.closing(bar))
        outputs = [stack.enter_context(open_outputs(r, first, bar)) for r in runs]
        stop = stack.enter_context(processes.stop_signals())
        for interval in intervals(run, steps, first, states, batches, bar, stop):
            done = interval.step
            progresses = _after_interval(runs, outputs, interval, progresses)
            last_steps = [
                min(last, done) if verdict_ends(r, progress) else last
                for r, progress, last in zip(runs, progresses, last_steps, strict=True)
            ]
            if all(map(verdict_ends, runs, progresses)):
                break
    return [
        Outcome(
            step=min(last, done),
            steps=r.steps,
            verdict=progress.verdict_state.verdict,
            signal=stop(done),
            ended=verdict_ends(r, progress),
        )
        for r, progress, last in zip(runs, progresses, last_steps, strict=True)
    ]


def _after_interval(
    runs: Sequence[PreparedRun],
    outputs: Sequence[RunOutputs],
    interval: Interval,
    progresses: Sequence[RunProgress],
) -> list[RunProgress]:
    """Calls `after_interval` for each member that its verdict has not ended."""
    fetched = jax.device_get(interval.metrics)
    after = []
    for i, (run, progress) in enumerate(zip(runs, progresses, strict=True)):
        if not verdict_ends(run, progress):
            # A member that dies may end here, and is saved then.
            may_end = run.experiment.verdicts.on_dead == 'stop'
            state = None
            if may_end or interval.due.evaluate or interval.due.save:
                state = members.move_member(_member(interval.state, i), run.mesh)
            metrics = [_member(step_metrics, i) for step_metrics in fetched]
            part = dataclasses.replace(interval, state=state, metrics=metrics)
            progress = after_interval(run, outputs[i], part, progress)
        after.append(progress)
    return after


def _member(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


@functools.lru_cache(maxsize=4)
def _compile_steps(
    network: Network, recipe: Recipe, mesh: Mesh | None
) -> StepFunctions:
    """Compiles the steps of members, each on its device of a mesh or mapped on one."""
    compiled = functools.partial(members.compile_for_members, mesh=mesh)
    pure = pure_functions(network, recipe, None)
    ratio = functools.partial(update_ratio, network=network)
    return with_diagnosis(
        compiled(pure.step, donate=True), compiled(pure.diagnose), compiled(ratio)
    )
