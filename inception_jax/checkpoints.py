"""Checkpoints of a run: the whole state and what else is needed to go on exactly."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from inception_jax.state import TrainState


class Saved(NamedTuple):
    """A checkpoint. `about` is JSON: whose it is, the verdict, the last metrics."""

    state: TrainState
    about: dict[str, Any]


def manager(folder: Path, keep: int) -> ocp.CheckpointManager:
    """Returns Orbax's manager of a folder: asynchronous, with the last `keep` kept.

    Use it in a `with` statement; at its end what is being written is waited for.
    """
    options = ocp.CheckpointManagerOptions(max_to_keep=keep)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def save(manager: ocp.CheckpointManager, state: TrainState, about: dict) -> None:
    """Starts to save the state under its step."""
    manager.save(
        int(state.step),
        args=ocp.args.Composite(
            state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(about)
        ),
    )


def restore(folder: Path, like: TrainState) -> Saved | None:
    """Returns the newest checkpoint, with the shapes and places of `like`.

    Returns None where nothing has been saved.

    Raises:
      ValueError: the newest checkpoint cannot be read as such a state.
    """
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    wanted = ocp.args.Composite(
        state=ocp.args.StandardRestore(abstract), about=ocp.args.JsonRestore()
    )
    with ocp.CheckpointManager(folder.absolute()) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        try:
            saved = manager.restore(step, args=wanted)
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(
                f'the checkpoint {folder / str(step)} cannot be read ({reason}); '
                + _repair(manager.all_steps())
            ) from error
    return Saved(saved.state, saved.about)


def _repair(steps: list[int]) -> str:
    if len(steps) > 1:
        return f'remove it to go on from step {sorted(steps)[-2]}'
    return 'there is none before it, so use another --workdir to begin anew'
