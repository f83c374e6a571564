"""Errors and signs of life."""

import jax.numpy as jnp
import numpy as np

from inception_jax.steps.metrics import (
    activity,
    dead_channels,
    outside_top,
    percent,
    zero_share,
)

LOGITS = jnp.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])


def test_a_label_is_outside_the_top_k_if_k_others_are_not_below_it():
    labels = jnp.array([0, 0, 0])
    assert outside_top(1, LOGITS, labels).tolist() == [False, True, True]
    assert outside_top(2, LOGITS, labels).tolist() == [False, True, True]
    assert outside_top(3, LOGITS, labels).tolist() == [False, False, False]


def test_logits_that_are_not_numbers_are_wrong():
    logits = jnp.full((1, 10), jnp.nan)
    assert outside_top(5, logits, jnp.array([3])).all()


def test_logits_that_are_not_numbers_are_wrong_even_among_few_classes():
    assert outside_top(5, jnp.full((1, 4), jnp.nan), jnp.array([3])).all()


def test_a_single_value_of_very_many_keeps_a_network_alive():
    features = jnp.zeros((2**14, 2**12)).at[5, 7].set(1e-3)
    assert float(zero_share(activity(features))) < 1.0
    assert float(zero_share(activity(jnp.zeros((64, 64))))) == 1.0


def test_percent_and_zero_share():
    assert float(percent(jnp.array([True, False, False, False]))) == 25.0
    assert float(zero_share(activity(jnp.array([[0.0, 1.0, -1.0, 0.0]])))) == 0.5


def test_a_channel_is_silent_if_it_is_zero_for_the_whole_batch():
    features = np.zeros((2, 3, 3, 4), np.float32)
    features[1, 2, 0, 1] = features[0, 0, 0, 3] = 0.5
    assert float(dead_channels(activity(jnp.asarray(features)))) == 0.5
    assert float(dead_channels(activity(jnp.zeros((2, 3, 3, 2144))))) == 1.0
