"""Edits of a train state: the interventions of a fork that no config field expresses.

An edit names a part of the state, of all blocks or of one block or stage, as in
`momentum_buffer` or `params.logits`:

  momentum_buffer  the momentum of the optimizer, set to a number
  mean_square      the mean square of RMSProp, set to a number
  batch_stats      the running batch statistics, set to `init`
  params           the weights, set to `init`, `zero` or RUN@STEP

`init` stands for the values of the run before its first step, RUN@STEP for those of
another run after a step. The EMA weights keep their values.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from inception_jax.runtime import choices
from inception_jax.steps.by_block import block_names, select_blocks
from inception_jax.steps.state import TrainState
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.states import state_at

Change = Callable[[TrainState], TrainState]

# The buffers of the optimizer by the names of optax.
BUFFERS = {'momentum_buffer': 'trace', 'mean_square': 'nu'}
PARTS = (*BUFFERS, 'batch_stats', 'params')


def is_edit(name: str) -> bool:
    """Returns whether a name is that of an edit, as `momentum_buffer.logits`."""
    return name.partition('.')[0] in PARTS


def state_change(run: PreparedRun, edits: Mapping[str, Any]) -> Change:
    """Returns the function that applies edits to a state of a run, in their order.

    Raises:
      ValueError: an edit names no part or no block that trains, or the part cannot take
        its value.
    """
    changes = [_change(run, name, value) for name, value in edits.items()]

    def apply(state: TrainState) -> TrainState:
        for change in changes:
            state = change(state)
        return state

    return apply


def _change(run: PreparedRun, name: str, value: Any) -> Change:
    part, _, selector = name.partition('.')
    choices.check('part of the state', part, PARTS)
    blocks = _training_blocks(run, name, selector)
    if part in BUFFERS:
        return _set_buffer(run, name, blocks, value)
    if part == 'params' and value == 'zero':
        return lambda state: _with_blocks(
            state, part, jax.tree.map(jnp.zeros_like, _only(state.params, blocks))
        )
    source = _only(getattr(_source(run, name, part, value), part), blocks)
    return lambda state: _with_blocks(state, part, _like(state, part, source, name))


def _training_blocks(run: PreparedRun, name: str, selector: str) -> tuple[str, ...]:
    """Returns the blocks of an edit that are not frozen."""
    blocks = block_names(run.network)
    if selector:
        blocks = select_blocks(run.network, [selector])
    frozen = select_blocks(run.network, run.experiment.recipe.frozen)
    free = tuple(block for block in blocks if block not in frozen)
    if not free:
        raise ValueError(
            f'{name} names no block of {run.network.name} that trains; expected one of '
            f'{", ".join(b for b in block_names(run.network) if b not in frozen)}'
        )
    return free


def _set_buffer(
    run: PreparedRun, name: str, blocks: tuple[str, ...], value: Any
) -> Change:
    """Returns the function that sets a buffer of the optimizer to a number."""
    part, chosen = name.partition('.')[0], run.experiment.recipe.optimizer
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f'{name}={value}; expected a number, e.g. {name}=0')
    if part == 'mean_square' and chosen != 'rmsprop':
        raise ValueError(f'{name}: the optimizer {chosen} has none; leave it out')
    if part == 'mean_square' and value < 0:
        raise ValueError(f'{name}={value}; expected 0 or more')

    def apply(state: TrainState) -> TrainState:
        buffer = optax.tree.get(state.opt_state, BUFFERS[part])
        filled = jax.tree.map(lambda x: jnp.full_like(x, value), _only(buffer, blocks))
        changed = {BUFFERS[part]: buffer | filled}
        return dataclasses.replace(
            state, opt_state=optax.tree.set(state.opt_state, **changed)
        )

    return apply


def _source(run: PreparedRun, name: str, part: str, value: Any) -> TrainState:
    """Returns the state from which an edit takes a part."""
    if value == 'init':
        return state_at(run, 0)
    path, at, step = str(value).rpartition('@')
    if part == 'params' and at and step.isdigit():
        return state_at(path, int(step))
    expected = 'init, zero or RUN@STEP' if part == 'params' else 'init'
    raise ValueError(f'{name}={value}; expected {expected}')


def _like(state: TrainState, part: str, source: dict[str, Any], name: str) -> Any:
    """Returns a part of another state, whose arrays must have the same shapes."""
    here = _only(getattr(state, part), tuple(source))
    shapes = (jax.tree.map(jnp.shape, tree) for tree in (source, here))
    if len({str(shape) for shape in shapes}) > 1:
        raise ValueError(f'{name}: the blocks of the other run have other shapes')
    return jax.tree.map(lambda x, like: jnp.asarray(x, like.dtype), source, here)


def _only(tree: dict[str, Any], blocks: tuple[str, ...]) -> dict[str, Any]:
    return {block: tree[block] for block in blocks if block in tree}


def _with_blocks(state: TrainState, part: str, blocks: dict[str, Any]) -> TrainState:
    """Returns a state with some blocks of a part replaced."""
    return dataclasses.replace(state, **{part: getattr(state, part) | blocks})
