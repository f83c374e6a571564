"""Optimizers, schedules and EMA weights against formulas written out here."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.steps import RECIPE, hparams

from inception_jax.steps.optimizers import kernel_mask, optimizer
from inception_jax.steps.schedules import (
    ema_decay,
    learning_rate,
    residual_scale,
)


def test_rmsprop_is_tensorflows_over_200_steps():
    generator = np.random.default_rng(0)
    scales = np.array([0.01, 1.0, 10.0], np.float32)[:, None]
    weights = generator.standard_normal((3, 8)).astype(np.float32)
    ms, mom, expected = np.ones_like(weights), np.zeros_like(weights), weights.copy()
    params = {'kernel': jnp.asarray(weights)}
    numbers = hparams(steps_per_epoch=10.0)
    state = optimizer(numbers, RECIPE, 0.0).init(params)

    @jax.jit
    def update(params, state, gradient, step):
        rate = learning_rate(step, numbers, 'exponential')
        change, state = optimizer(numbers, RECIPE, rate).update(
            {'kernel': gradient}, state, params
        )
        return optax.apply_updates(params, change), state

    for step in range(200):
        g = scales * generator.standard_normal((3, 8)).astype(np.float32)
        rate = np.float32(0.045 * 0.94 ** (step // 20))
        ms += (1 - 0.9) * (g * g - ms)
        mom = 0.9 * mom + rate * g / np.sqrt(ms + 1.0)
        expected -= mom
        params, state = update(params, state, g, jnp.int32(step))
    np.testing.assert_allclose(params['kernel'], expected, rtol=1e-6, atol=1e-6)


def test_momentum_is_tensorflows():
    recipe = dataclasses.replace(RECIPE, optimizer='momentum')
    params = {'kernel': jnp.ones(4)}
    state = optimizer(hparams(), recipe, 0.1).init(params)
    accumulated, expected = np.zeros(4), np.ones(4)
    for step in range(20):
        g = np.full(4, 1.0 + step, np.float32)
        accumulated = 0.9 * accumulated + g
        expected -= 0.1 * accumulated
        change, state = optimizer(hparams(), recipe, 0.1).update(
            {'kernel': g}, state, params
        )
        params = optax.apply_updates(params, change)
    np.testing.assert_allclose(params['kernel'], expected, rtol=1e-5)


def test_weight_decay_enters_the_gradient_of_kernels_alone():
    recipe = dataclasses.replace(RECIPE, optimizer='momentum')
    params = {'kernel': jnp.full(2, 3.0), 'bias': jnp.full(2, 3.0)}
    assert kernel_mask(params) == {'kernel': True, 'bias': False}
    rule = optimizer(hparams(weight_decay=0.5), recipe, 1.0)
    zero = jax.tree.map(jnp.zeros_like, params)
    change, _ = rule.update(zero, rule.init(params), params)
    np.testing.assert_allclose(change['kernel'], -1.5)
    np.testing.assert_allclose(change['bias'], 0.0)


def test_clipping_bounds_the_norm_after_weight_decay():
    recipe = dataclasses.replace(RECIPE, optimizer='momentum', clip=True)
    params = {'kernel': jnp.full(4, 100.0)}
    rule = optimizer(hparams(weight_decay=1.0), recipe, 1.0)
    change, _ = rule.update({'kernel': jnp.ones(4)}, rule.init(params), params)
    assert float(jnp.linalg.norm(change['kernel'])) == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize(
    ('epoch', 'rate'),
    [
        (0, 0.0450),
        (10, 0.0330),
        (20, 0.0242),
        (50, 0.00958),
        (100, 0.00204),
        (120, 0.00110),
        (150, 0.000434),
        (160, 0.000319),
        (200, 0.0000925),
    ],
)
def test_the_papers_schedule(epoch, rate):
    step = jnp.int32(epoch * 2002)
    assert float(learning_rate(step, hparams(), 'exponential')) == pytest.approx(
        rate, rel=5e-3
    )


def test_the_staircase_falls_once_every_two_epochs():
    rates = [
        float(learning_rate(jnp.int32(step), hparams(), 'exponential'))
        for step in (4003, 4004, 8007, 8008)
    ]
    np.testing.assert_allclose(rates[1] / rates[0], 0.94, rtol=1e-5)
    assert rates[1] == rates[2]
    assert rates[3] < rates[2]


def test_warmup_and_cosine():
    numbers = hparams(warmup_epochs=1.0, steps_per_epoch=10.0, epochs=4.0)
    rates = [float(learning_rate(jnp.int32(s), numbers, 'cosine')) for s in range(40)]
    assert rates[0] == pytest.approx(0.0045, rel=1e-3)
    assert rates[9] > rates[8]
    assert rates[20] == pytest.approx(0.0225, rel=1e-5)
    assert rates[39] < 1e-4
    constant = learning_rate(jnp.int32(39), numbers, 'constant')
    assert float(constant) == pytest.approx(0.045)


def test_a_constant_warm_up_is_two_phases():
    numbers = hparams(
        warmup_epochs=1.5,
        warmup_learning_rate=1e-5,
        steps_per_epoch=10.0,
        learning_rate=0.1,
    )
    rates = [float(learning_rate(jnp.int32(i), numbers, 'constant')) for i in range(20)]
    np.testing.assert_allclose(rates, [1e-5] * 15 + [0.1] * 5, rtol=1e-6)


def test_averages_warm_up_as_tensorflows():
    assert float(ema_decay(jnp.int32(0), hparams())) == pytest.approx(0.1)
    assert float(ema_decay(jnp.int32(90), hparams())) == pytest.approx(0.91)
    assert float(ema_decay(jnp.int32(10**6), hparams())) == pytest.approx(0.9999)


def test_hparams_are_float32_leaves_with_a_scale_for_every_block():
    numbers = hparams(residual_scale=0.3)
    chex.assert_type(jax.tree.leaves(numbers), jnp.float32)
    chex.assert_shape(numbers.residual_scale, (20,))
    with pytest.raises(ValueError, match='one for each of its 20'):
        hparams(residual_scale=(0.1, 0.2))


def test_scales_may_come_by_stage_and_the_rest_is_the_networks():
    defaults = hparams().residual_scale
    numbers = hparams(residual_scale={'c': 0.05})
    np.testing.assert_array_equal(numbers.residual_scale[:15], defaults[:15])
    np.testing.assert_array_equal(numbers.residual_scale[15:], np.float32(0.05))
    with pytest.raises(ValueError, match=r"no stage 'd'.*a, b, c"):
        hparams(residual_scale={'d': 0.1})


def test_a_scale_rises_on_a_line_and_is_exact_at_its_end_and_without_one():
    line = hparams(
        residual_scale=0.3,
        residual_scale_start=0.1,
        residual_scale_epochs=2.0,
        steps_per_epoch=10.0,
    )
    scales = [float(residual_scale(jnp.int32(i), line)[0]) for i in range(30)]
    np.testing.assert_allclose(scales[:20], 0.1 + 0.2 * np.arange(1, 21) / 20, 1e-6)
    assert set(scales[19:]) == {float(np.float32(0.3))}
    constant = hparams(residual_scale=0.3)
    np.testing.assert_array_equal(
        residual_scale(jnp.int32(0), constant), constant.residual_scale
    )


@pytest.mark.parametrize(
    ('half', 'message'),
    [
        ({'residual_scale_start': 0.1}, 'residual_scale_epochs is 0.0; set both'),
        ({'residual_scale_epochs': 2.0}, 'residual_scale_start is None'),
        ({'warmup_learning_rate': 1e-5}, 'warmup_epochs is 0.0; set warmup_epochs'),
        ({'warmup_learning_rate': -1.0, 'warmup_epochs': 1.0}, 'expected 0 or more'),
    ],
)
def test_a_number_that_would_do_nothing_alone_is_refused(half, message):
    with pytest.raises(ValueError, match=message):
        hparams(**half)


def test_recipes_of_other_initialisers_share_a_program():
    assert dataclasses.replace(RECIPE, initializer='lecun') == RECIPE
    assert dataclasses.replace(RECIPE, clip=True) != RECIPE


def test_a_recipe_refuses_unknown_choices():
    with pytest.raises(ValueError, match='did you mean rmsprop'):
        dataclasses.replace(RECIPE, optimizer='rmsprob')
