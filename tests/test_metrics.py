"""Errors, signs of life and verdicts."""

import jax.numpy as jnp
import numpy as np

from inception_jax.metrics import outside_top, percent, zero_share
from inception_jax.verdicts import Verdict, judge, judge_evaluation

LOGITS = jnp.array([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]])


def test_a_label_is_outside_the_top_k_if_k_others_are_not_below_it():
    labels = jnp.array([0, 0, 0])
    assert outside_top(1, LOGITS, labels).tolist() == [False, True, True]
    assert outside_top(2, LOGITS, labels).tolist() == [False, True, True]
    assert outside_top(3, LOGITS, labels).tolist() == [False, False, False]


def test_what_is_not_a_number_is_wrong():
    logits = jnp.full((1, 10), jnp.nan)
    assert outside_top(5, logits, jnp.array([3])).all()


def test_what_is_not_a_number_is_wrong_even_among_few_classes():
    assert outside_top(5, jnp.full((1, 4), jnp.nan), jnp.array([3])).all()


def test_a_single_value_of_very_many_keeps_a_network_alive():
    features = jnp.zeros((2**14, 2**12)).at[5, 7].set(1e-3)
    assert float(zero_share(features)) < 1.0
    assert float(zero_share(jnp.zeros((64, 64)))) == 1.0


def test_percent_and_zero_share():
    assert float(percent(jnp.array([True, False, False, False]))) == 25.0
    assert float(zero_share(jnp.array([0.0, 1.0, -1.0, 0.0]))) == 0.5


def verdicts(losses, zeros):
    verdict = Verdict()
    for step, (loss, zero) in enumerate(zip(losses, zeros, strict=True), 1):
        verdict = judge(verdict, step, loss=loss, zero_share=zero)
    return verdict


def test_a_run_that_only_faints_is_alive():
    assert verdicts([2.3] * 4, [0.5, 1.0, 1.0, 0.9]) == Verdict('alive', None)


def test_death_is_dated_from_the_first_step_of_the_last_zeros():
    assert verdicts([2.3] * 5, [1.0, 0.5, 1.0, 1.0, 1.0]) == Verdict('dead', 3)


def test_an_evaluation_that_is_not_finite_is_divergence():
    record = {'step': 7, 'cross_entropy': float('nan')}
    assert judge_evaluation(Verdict(), record) == Verdict('diverged', 7)
    assert judge_evaluation(Verdict(), record | {'cross_entropy': 2.0}) == Verdict()


def test_divergence_is_the_first_loss_that_is_not_finite_and_stays():
    losses = [2.0, np.inf, 2.0, np.nan]
    assert verdicts(losses, [0.5, 0.5, 0.5, 1.0]) == Verdict('diverged', 2)
