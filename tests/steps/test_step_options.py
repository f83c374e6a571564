"""Recipes that change how a step is computed, or whether its update is applied."""

import dataclasses
import functools

import chex
import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.configs import config
from helpers.steps import DISTORT, NUMBERS, RECIPE, batch
from helpers.tiny import NET

from inception_jax.config.experiment import experiment
from inception_jax.model.classifier import Classifier
from inception_jax.networks import conv, network, one, residual, stage
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.state import initial_state
from inception_jax.steps.train_step import train_step

# Without batch norm the gradient of a batch is the mean of those of its parts.
PLAIN = network(
    'plain',
    one('stem', conv(8, 3, 2, linear=True)),
    stage('a', 2, residual(conv(8, 3, linear=True), scale=0.2)),
    classes=10,
    input_size=16,
)


def begin(net, **changes):
    numbers = NUMBERS | {'dropout_rate': 0.3} | changes
    state = initial_state(net, RECIPE, hparams_for(net, **numbers), seed=0)
    return jax.tree.map(jnp.asarray, state)


def step(net, **changes):
    recipe = dataclasses.replace(RECIPE, **changes)
    classifier = Classifier(net, 0.9, remat=recipe.remat, execution=recipe.execution)
    return functools.partial(
        train_step, classifier=classifier, recipe=recipe, augment=DISTORT
    )


def updated(net, steps=3, **changes):
    state, compiled = begin(net), jax.jit(step(net, **changes))
    for number in range(steps):
        state, metrics = compiled(state, batch(64, seed=number))
    return (state.params, state.batch_stats, state.opt_state, state.ema), metrics


def test_four_micro_batches_of_16_are_a_batch_of_64():
    whole, parts = updated(PLAIN), updated(PLAIN, accumulation=4)
    chex.assert_trees_all_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_a_channel_is_silent_in_a_step_if_it_is_in_all_micro_batches():
    grids = np.zeros((64, 16, 16, 3), np.uint8)
    grids[5] = 255
    examples = batch(64) | {'image': grids}
    state = begin(NET)
    metrics = [
        jax.jit(step(NET, accumulation=parts))(state, examples)[1] for parts in (1, 4)
    ]
    assert float(metrics[1]['dead_channels']) < 1.0
    assert 0.0 < float(metrics[1]['zero_share']) < 1.0


def sums_of_products(jaxpr):
    """Counts convolutions and matrix products, in every call of a function anew."""
    products = ('conv_general_dilated', 'dot_general')
    inner = [
        sums_of_products(call)
        for equation in jaxpr.eqns
        for call in jax.extend.core.jaxprs_in_params(equation.params)
    ]
    return sum(inner) + sum(e.primitive.name in products for e in jaxpr.eqns)


@pytest.mark.parametrize(
    ('stages', 'plain', 'fast'),
    [('all', 10, 8), (('a',), 8, 6), (('stem', 'logits'), 2, 2)],
)
def test_recomputed_blocks_give_the_same_state(stages, plain, fast):
    kept, again = updated(NET), updated(NET, remat=stages)
    chex.assert_trees_all_close(again, kept, rtol=1e-5, atol=1e-5)

    def count(execution, remat):
        function = step(NET, execution=execution, remat=remat)
        return sums_of_products(jax.make_jaxpr(function)(begin(NET), batch(64)).jaxpr)

    # In fast execution the two 1x1 on a block's input are one.
    more = [count(how, stages) - count(how, ()) for how in ('plain', 'fast')]
    assert more == [plain, fast]


def test_an_update_that_is_not_finite_is_left_out():
    state = begin(NET, learning_rate=0.1)
    bad = dataclasses.replace(
        state,
        hparams=dataclasses.replace(state.hparams, label_smoothing=np.float32(np.nan)),
    )
    compiled = jax.jit(step(NET, skip_non_finite=True))
    after, metrics = compiled(bad, batch())
    assert (float(metrics['skipped']), int(after.step)) == (1.0, 1)
    for name in ('params', 'batch_stats', 'opt_state', 'ema'):
        chex.assert_trees_all_equal(getattr(after, name), getattr(state, name))
    good, metrics = compiled(state, batch())
    assert float(metrics['skipped']) == 0.0
    plain, _ = jax.jit(step(NET))(state, batch())
    chex.assert_trees_all_close(good.params, plain.params, rtol=1e-6)


def test_stages_that_are_not_there_are_refused():
    chosen = experiment(config(recipe={'remat': ['a', 'b']}))
    assert chosen.recipe.remat == ('a', 'b')
    with pytest.raises(ValueError, match=r"remat names 'd'; .* stages stem, a, redu"):
        experiment(config(recipe={'remat': 'd'}))
    with pytest.raises(ValueError, match='accumulation is 0; expected 1 or more'):
        experiment(config(recipe={'accumulation': 0}))
