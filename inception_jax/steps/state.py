"""The state of a run: everything that a step changes, and the hyper-parameters."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from inception_jax.model.initializers import initial_variables
from inception_jax.networks.network import Network
from inception_jax.runtime.random_numbers import random_key
from inception_jax.steps.by_block import select_blocks, without_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.optimizers import optimizer
from inception_jax.steps.recipe import Recipe


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """The state of a run, a pytree. `initial_state` has an example.

    Attributes:
      step: the number of updates made, int32.
      params: the parameters, by block.
      batch_stats: the running batch statistics, by block.
      opt_state: the state of the optimizer, for the blocks that are not frozen.
      ema: the EMA weights, `params` and `batch_stats`: the variables that are
        evaluated.
      key: the key from which all randomness of the run is derived.
      hparams: the hyper-parameters, which steps read and do not change.
    """

    step: jax.Array
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: dict[str, Any]
    key: jax.Array
    hparams: Hparams

    @property
    def variables(self) -> dict[str, Any]:
        """The raw weights as the classifier takes them: `params` and `batch_stats`."""
        return {'params': self.params, 'batch_stats': self.batch_stats}

    def __repr__(self) -> str:
        parameters = sum(map(np.size, jax.tree.leaves(self.params)))
        return f'TrainState(step {self.step}, {parameters:,} parameters)'


def initial_state(
    network: Network, recipe: Recipe, hparams: Hparams, *, seed: int
) -> TrainState:
    """Returns the state before the first step, with its arrays on the host.

    The seed determines the initial variables and the key.

    >>> import inception_jax as ij
    >>> net = ij.network('tiny', ij.one('stem', ij.conv(4, 3, 2)), input_size=8)
    >>> quickstart = ij.experiment(ij.load_config('configs/quickstart.py'))
    >>> hparams = ij.hparams_for(
    ...     net, **quickstart.hparams, epochs=10.0, steps_per_epoch=45.0
    ... )
    >>> state = initial_state(net, quickstart.recipe, hparams, seed=0)
    >>> state.params['stem']['conv0']['kernel'].shape, int(state.step)
    ((3, 3, 3, 4), 0)
    """
    variables = initial_variables(network, seed=seed, scheme=recipe.initializer)
    trained = without_blocks(variables['params'], select_blocks(network, recipe.frozen))
    return TrainState(
        step=np.zeros((), np.int32),
        **variables,
        opt_state=_initial_opt_state(optimizer(hparams, recipe, 0.0).init, trained),
        ema=variables,
        key=random_key(seed),
        hparams=hparams,
    )


def _initial_opt_state(init: Callable, trained: Any) -> Any:
    """Returns the initial state of an optimizer, on the host and without compilation.

    An optimizer fills each array with one number, which a scalar parameter shows.
    """
    with jax.ensure_compile_time_eval():
        numbers = init(jax.tree.map(lambda x: np.zeros((), x.dtype), trained))
    return jax.tree.map(
        lambda number, like: np.broadcast_to(np.asarray(number), like.shape),
        numbers,
        jax.eval_shape(init, trained),
    )
