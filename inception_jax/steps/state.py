"""The state of a run: everything that a step changes, and the numbers that it reads."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from inception_jax.model.initializers import initial_variables
from inception_jax.networks.network import Network
from inception_jax.steps.by_block import select_blocks, without_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.optimizers import optimizer
from inception_jax.steps.recipe import Recipe


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """`step` counts the updates made, int32. `opt_state` is that of the blocks that are
    not frozen. `ema` holds averages of `params` and of `batch_stats` under these names:
    the variables for evaluation. `key` is the run's one source of randomness.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: dict[str, Any]
    key: jax.Array
    hparams: Hparams


def initial_state(
    network: Network, recipe: Recipe, hparams: Hparams, *, seed: int
) -> TrainState:
    """Returns the state before the first step; its variables are still on the host."""
    variables = initial_variables(network, seed=seed, scheme=recipe.initializer)
    trained = without_blocks(variables['params'], select_blocks(network, recipe.frozen))
    return TrainState(
        step=np.zeros((), np.int32),
        **variables,
        opt_state=_at_start(optimizer(hparams, recipe, 0.0).init, trained),
        ema=variables,
        key=jax.random.key(seed),
        hparams=hparams,
    )


def _at_start(init: Callable, trained: Any) -> Any:
    """Returns what an optimizer starts with, on the host and without compiling for it.

    It starts an array with one number all over, which that of a scalar tells.
    """
    with jax.ensure_compile_time_eval():
        numbers = init(jax.tree.map(lambda x: np.zeros((), x.dtype), trained))
    return jax.tree.map(
        lambda number, like: np.broadcast_to(np.asarray(number), like.shape),
        numbers,
        jax.eval_shape(init, trained),
    )
