"""Several runs at the same time, a step of all of them in one call.

Their states are one state with a leading axis `member`. On one device the step is
mapped over it; on many, each device has a member of its own. A step of a member is the
one it would have made alone, up to rounding, which grows from step to step.
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
from inception_jax.steps.state import TrainState
from inception_jax.training.loop import (
    Interval,
    Outcome,
    attend,
    batch_stream,
    intervals,
    open_outputs,
    verdict_ends,
)
from inception_jax.training.observe import RunProgress
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import StepFunctions, run_functions, with_diagnosis
from inception_jax.training.progress import Progress


def lockstep_key(p: PreparedRun) -> tuple:
    """Returns what members must share to go in step: lengths, and what is due when."""
    return dataclasses.replace(p.experiment.run, seed=0), p.steps, p.steps_per_epoch


def train_together(
    group: Sequence[PreparedRun],
    begun: list[tuple[TrainState, RunProgress]],
    engine: str,
) -> list[Outcome]:
    """Trains members from their states to the last step, as `train` does each.

    Members must agree in program and `pace`. Those that were stopped at other steps
    than the rest go on by themselves. `begun` is emptied, so that no state is on the
    devices twice.
    """
    outcomes = [
        Outcome(int(state.step), seen.watch.verdict, None) for state, seen in begun
    ]
    steps = [outcome.step for outcome in outcomes]
    left = dict(enumerate(begun))
    begun.clear()
    for step in sorted(set(steps)):
        places = [i for i in left if steps[i] == step]
        some = _train([group[i] for i in places], [left.pop(i) for i in places], engine)
        for place, outcome in zip(places, some, strict=True):
            outcomes[place] = outcome
        if any(outcome.signal for outcome in some):
            break
    return outcomes


def _train(group, begun, engine: str) -> list[Outcome]:
    p, first = group[0], int(begun[0][0].step)
    mesh = members.member_mesh(len(group)) if engine == 'devices' else None
    steps = _steps(program(p.network), p.experiment.recipe, mesh)
    states = members.place_members([state for state, _ in begun], mesh)
    seens, last = [seen for _, seen in begun], [p.steps] * len(group)
    begun.clear()
    streams = zip(*(batch_stream(q, start=first) for q in group), strict=True)
    batches = (members.place_members(together, mesh) for together in streams)
    done, size = first, p.experiment.run.batch_size
    with contextlib.ExitStack() as stack:
        progress = Progress(p.steps, first, size, lines=False)
        stack.enter_context(contextlib.closing(progress))
        desks = [stack.enter_context(open_outputs(q, first, progress)) for q in group]
        stop = stack.enter_context(processes.stop_signals())
        for stretch in intervals(p, steps, first, states, batches, progress, stop):
            done, seens = stretch.step, _attend(group, desks, stretch, seens)
            last = [
                min(end, done) if verdict_ends(q, s) else end
                for q, s, end in zip(group, seens, last, strict=True)
            ]
            if all(map(verdict_ends, group, seens)):
                break
    return [
        Outcome(min(end, done), seen.watch.verdict, stop(done), verdict_ends(q, seen))
        for q, seen, end in zip(group, seens, last, strict=True)
    ]


def _attend(
    group, desks, stretch: Interval, seens: Sequence[RunProgress]
) -> list[RunProgress]:
    """Does for each member that has not ended what `train.attend` does for a run."""
    fetched = jax.device_get(stretch.metrics)
    after = []
    for i, (p, at, seen) in enumerate(zip(group, desks, seens, strict=True)):
        if not verdict_ends(p, seen):
            # One that dies may end here, and is saved then.
            dies = p.experiment.verdicts.on_dead == 'stop'
            state = None
            if dies or stretch.due & {'evaluate', 'save'}:
                state = members.move_member(_member(stretch.state, i), p.mesh)
            mine = [_member(metrics, i) for metrics in fetched]
            seen = attend(p, at, stretch._replace(state=state, metrics=mine), seen)
        after.append(seen)
    return after


def _member(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda x: x[i], tree)


@functools.lru_cache(maxsize=4)
def _steps(network: Network, recipe: Recipe, mesh: Mesh | None) -> StepFunctions:
    """Compiles the steps of members: each on its device of a mesh, or mapped on one."""
    compiled = functools.partial(members.compile_for_members, mesh=mesh)
    pure = run_functions(network, recipe, None)
    moved = functools.partial(update_ratio, network=network)
    return with_diagnosis(
        compiled(pure.step, donate=True), compiled(pure.look), compiled(moved)
    )
