"""Factors of the learning rate for single blocks."""

import dataclasses

import chex
import jax
import numpy as np
import pytest
from helpers.frozen import MOMENTUM, trained
from helpers.steps import RECIPE
from helpers.tiny import NET, PLAIN

from inception_jax.steps.by_block import block_names, nearest_numbers

FACTORS = {'trunk': 0.5, 'logits': 0.5}


@pytest.mark.parametrize('recipe', [RECIPE, MOMENTUM], ids=['rmsprop', 'momentum'])
def test_a_factor_of_all_is_one_of_the_learning_rate(recipe):
    halved = dataclasses.replace(recipe, rate_factors=FACTORS)
    _, by_factor, _ = trained(halved, PLAIN, learning_rate=0.1)
    _, by_rate, _ = trained(recipe, PLAIN, learning_rate=0.05)
    chex.assert_trees_all_close(by_factor.params, by_rate.params, rtol=1e-6, atol=1e-6)
    chex.assert_trees_all_close(by_factor.ema, by_rate.ema, rtol=1e-6, atol=1e-6)
    assert jax.tree.structure(by_factor) == jax.tree.structure(by_rate)


def test_a_factor_of_1_is_none():
    same = dataclasses.replace(RECIPE, rate_factors={'trunk': 1, 'logits': 1.0})
    (_, factored, _), (_, plain, _) = trained(same, PLAIN), trained(RECIPE, PLAIN)
    chex.assert_trees_all_equal(factored.params, plain.params)


def test_the_nearest_factor_of_a_block_counts():
    numbers = {'trunk': 0.1, 'a': 0.2, 'a_1': 0.5}
    factors = {'stem': 0.1, 'a_1': 0.5, 'a_2': 0.2}
    assert nearest_numbers(NET, numbers) == factors
    recipe = dataclasses.replace(MOMENTUM, rate_factors=numbers)
    first, factored, _ = trained(recipe, steps=1, learning_rate=1.0)
    _, plain, _ = trained(MOMENTUM, steps=1, learning_rate=1.0)
    for name in block_names(NET):
        factor = factors.get(name, 1.0)
        expected = jax.tree.map(
            lambda w, after, factor=factor: w + np.float32(factor) * (after - w),
            first.params[name],
            plain.params[name],
        )
        chex.assert_trees_all_close(
            factored.params[name], expected, rtol=1e-5, atol=1e-6
        )
