"""Boundaries of schedules: at the right update, and without another compilation."""

from fractions import Fraction
from math import floor

import chex
import jax
import numpy as np
import pytest
from helpers.steps import hparams

from inception_jax.steps.schedules import learning_rate


@chex.assert_max_traces(n=1)
def rate(step, numbers):
    return learning_rate(step, numbers, 'exponential')


RATES = jax.jit(jax.vmap(rate, in_axes=(0, None)))


@pytest.mark.parametrize('images', [450, 1438, 45, 20])
@pytest.mark.parametrize('decay', ['2.4', '0.3', '0.6', '1.2', '0.1', '2.0'])
def test_every_staircase_falls_at_the_exact_update(decay, images):
    steps_per_epoch, period = images / 10, Fraction(decay) * Fraction(images, 10)
    numbers = hparams(
        learning_rate=1.0,
        decay_rate=0.5,
        decay_epochs=float(decay),
        epochs=4.0,
        steps_per_epoch=steps_per_epoch,
    )
    updates = np.arange(600)
    expected = [0.5 ** floor(update / period) for update in updates]
    in_run = updates <= 4 * steps_per_epoch
    rates = np.asarray(RATES(updates.astype(np.int32), numbers))
    np.testing.assert_allclose(rates[in_run], np.array(expected)[in_run], rtol=1e-5)


@pytest.mark.parametrize('warmup', ['0.3', '0.6', '0.7', '2.4', '1.25'])
@pytest.mark.parametrize('images', [450, 1438, 100])
def test_a_constant_warm_up_ends_at_the_exact_update(warmup, images):
    numbers = hparams(
        learning_rate=1.0,
        decay_rate=1.0,
        warmup_epochs=float(warmup),
        warmup_learning_rate=0.25,
        steps_per_epoch=images / 10,
    )
    rates = np.asarray(RATES(np.arange(600, dtype=np.int32), numbers))
    assert (rates == 0.25).sum() == floor(Fraction(warmup) * Fraction(images, 10))
