"""Random numbers are those of the program under every setting of JAX."""

import functools

import jax
import numpy as np
import pytest
from helpers.steps import DISTORT, batch, begin, stepper

from inception_jax.runtime.random_numbers import pinned_draws, random_key
from inception_jax.steps.forward import augmented

SETTINGS = (
    {'jax_default_prng_impl': 'rbg'},
    {'jax_threefry_partitionable': False},
    {'jax_random_seed_offset': 1},
    {'jax_enable_x64': True},
)


@pytest.fixture
def settings(request):
    before = {name: getattr(jax.config, name) for name in request.param}
    for name, value in request.param.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@functools.cache
def draws_by_default():
    return images_and_dropout()


def images_and_dropout():
    state = begin(dropout_rate=0.5)
    images = augmented(state, batch(), augment=DISTORT)
    with pinned_draws():
        numbers = jax.random.uniform(random_key(3), (4, 3), np.float32)
    return [np.asarray(x) for x in (jax.random.key_data(state.key), images, numbers)]


@pytest.mark.parametrize('settings', SETTINGS, indirect=True)
def test_no_setting_of_jax_changes_a_random_number(settings):
    for drawn, default in zip(images_and_dropout(), draws_by_default(), strict=True):
        np.testing.assert_array_equal(drawn, default)


@pytest.mark.parametrize('settings', SETTINGS[:3], indirect=True)
def test_a_step_is_the_same_under_settings_of_random_numbers(settings):
    _, metrics = jax.jit(stepper())(begin(dropout_rate=0.5), batch())
    assert float(metrics['loss']) == loss_by_default()


@pytest.fixture(scope='module', autouse=True)
def defaults():
    draws_by_default(), loss_by_default()


@functools.cache
def loss_by_default():
    return float(jax.jit(stepper())(begin(dropout_rate=0.5), batch())[1]['loss'])


@pytest.mark.parametrize('seed', [0, 7, 2**31 - 1, 2**31, 2**32 + 5])
def test_the_key_of_a_seed_is_that_of_old_runs(seed):
    old = jax.random.key(np.int64(seed).astype(np.int32))
    assert jax.random.key_data(random_key(seed)).tolist() == (
        jax.random.key_data(old).tolist()
    )
