"""Checkpoints of a run: the whole state and what else is needed to go on exactly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as keeping

from inception_jax.state import TrainState

Manager = ocp.CheckpointManager


class Saved(NamedTuple):
    """A checkpoint. `about` is JSON: whose it is, the verdict, the last metrics."""

    state: TrainState
    about: dict[str, Any]


def manager(folder: Path, keep: int, always: Sequence[int] = ()) -> Manager:
    """Returns Orbax's manager of a folder: asynchronous, with the last `keep` kept.

    The steps `always` are kept as well. Use it in a `with` statement; at its end what
    is being written is waited for.
    """
    policy = keeping.AnyPreservationPolicy(
        [keeping.LatestN(keep), keeping.CustomSteps(always)]
    )
    options = ocp.CheckpointManagerOptions(preservation_policy=policy)
    return Manager(folder.absolute(), options=options)


def save(manager: Manager, state: TrainState, about: dict) -> None:
    """Starts to save the state under its step."""
    manager.save(
        int(state.step),
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about)
        ),
    )


def steps(folder: Path) -> list[int]:
    """Lists the steps that have a checkpoint."""
    if not folder.exists():
        return []
    with Manager(folder.absolute()) as manager:
        return list(manager.all_steps())


def restore(folder: Path, like: TrainState, at: int | None = None) -> Saved | None:
    """Returns the newest checkpoint, with the shapes and places of `like`.

    With `at` it is the newest one up to that step. Returns None where there is none.

    Raises:
      ValueError: the newest checkpoint cannot be read as such a state.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    wanted = ocp.args.Composite(
        state=ocp.args.StandardRestore(abstract), about=ocp.args.JsonRestore()
    )
    with Manager(folder.absolute()) as manager:
        steps = [s for s in manager.all_steps() if at is None or s <= at]
        if not steps:
            return None
        step = max(steps)
        try:
            saved = manager.restore(step, args=wanted)
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f'the checkpoint {folder / str(step)} cannot be read ({reason}); '
                + _repair(steps)
            ) from error
    return Saved(saved.state, saved.about)


def _repair(steps: list[int]) -> str:
    if len(steps) > 1:
        return f'remove it to go on from step {sorted(steps)[-2]}'
    return 'there is none before it, so use another --workdir to begin anew'
