"""States of a recipe with frozen blocks before and after some steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from helpers.steps import NUMBERS, RECIPE, batch
from helpers.tiny import NET

from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.state import initial_state
from inception_jax.training.programs import pure_functions

MOMENTUM = dataclasses.replace(RECIPE, optimizer='momentum')


def begin(net=NET, recipe=RECIPE, **changes):
    numbers = NUMBERS | {'weight_decay': 0.01} | changes
    state = initial_state(net, recipe, hparams_for(net, **numbers), seed=0)
    # Not their first values, which some statistics of a batch would be.
    generator = np.random.default_rng(1)
    statistics = jax.tree.map(
        lambda x: generator.uniform(0.5, 1.5, x.shape).astype(np.float32),
        state.batch_stats,
    )
    ema = state.ema | {'batch_stats': statistics}
    state = dataclasses.replace(state, batch_stats=statistics, ema=ema)
    return jax.tree.map(jnp.asarray, state)


def trained(recipe, net=NET, steps=3, examples=24, **changes):
    """Returns the state before some steps and that after them."""
    state, step = (
        begin(net, recipe, **changes),
        jax.jit(pure_functions(net, recipe, None).step),
    )
    first = state
    for number in range(steps):
        state, metrics = step(state, batch(examples, seed=number))
    return first, state, metrics
