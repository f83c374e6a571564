"""Distributions of initial values, and what they depend on."""

import math
import os

import chex
import jax
import numpy as np
import pytest
from helpers.paths import CONFIGS

from inception_jax.model.initializers import (
    PAPER_SCHEME,
    SCHEMES,
    init,
    initial_kernel,
    initial_variables,
)
from inception_jax.networks import conv, expand, load

SHAPE = (3, 3, 128, 256)


def kernel(scheme, op=None, shape=SHAPE):
    op = op or conv(256, 3)
    return initial_kernel(scheme, op, shape, np.random.default_rng(0))


@pytest.mark.parametrize(
    ('scheme', 'stddev'),
    [
        ('he', math.sqrt(2 / (9 * 128))),
        ('lecun', math.sqrt(1 / (9 * 128))),
        ('glorot', math.sqrt(2 / (9 * (128 + 256)))),
        ('truncated_normal', 0.0879),
    ],
)
def test_standard_deviations(scheme, stddev):
    assert kernel(scheme).std() == pytest.approx(stddev, rel=0.01)
    assert abs(kernel(scheme).mean()) < 0.01 * stddev


def test_truncated_normals_are_cut_at_two_standard_deviations():
    assert np.abs(kernel('truncated_normal')).max() <= 0.2
    narrow = kernel('truncated_normal', conv(768, 5, stddev=0.01))
    assert np.abs(narrow).max() <= 0.02


@pytest.mark.parametrize('scheme', SCHEMES)
def test_a_standard_deviation_of_zero_is_zero_under_every_scheme(scheme):
    assert not kernel(scheme, expand(stddev=0.0)).any()
    assert kernel(scheme, expand()).any()


def test_glorot_is_uniform():
    limit = math.sqrt(6 / (9 * (128 + 256)))
    drawn = kernel('glorot') / limit
    assert np.abs(drawn).max() <= 1
    assert np.mean(np.abs(drawn) < 0.5) == pytest.approx(0.5, abs=0.01)


def test_values_depend_on_the_seed_and_on_the_path_alone():
    network, other = load('inception_resnet_v1'), load('inception_resnet_v1_facenet')
    first = initial_variables(network, seed=3, scheme='he')['params']
    second = initial_variables(other, seed=3, scheme='he')['params']
    np.testing.assert_array_equal(
        first['c_5']['linear0']['kernel'], second['c_5']['linear0']['kernel']
    )
    third = initial_variables(network, seed=4, scheme='he')['params']
    assert not np.allclose(
        first['c_5']['linear0']['kernel'], third['c_5']['linear0']['kernel']
    )
    assert not np.allclose(
        first['c_5']['linear0']['kernel'], first['c_4']['linear0']['kernel']
    )


def test_drawing_compiles_nothing():
    compilations = []

    def listen(event, duration, **details):
        if 'compile' in event:
            compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        initial_variables(load('inception_resnet_v2_slim'), seed=0, scheme='he')
        assert compilations == []
        jax.jit(lambda x: x + 1)(np.ones(3, np.float32))
        assert compilations
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize('scheme', ['he', 'glorot'])
def test_the_values_are_the_same_for_any_number_of_threads(scheme, small, monkeypatch):
    trees = []
    for cores in (1, 8):
        monkeypatch.setattr(os, 'cpu_count', lambda cores=cores: cores)
        network = small('inception_resnet_v1')
        trees.append(initial_variables(network, seed=3, scheme=scheme))
    chex.assert_trees_all_equal(*trees)


def test_values_beyond_two_deviations_are_drawn_anew_in_their_order():
    generator = np.random.default_rng(0)
    expected = generator.standard_normal(SHAPE, np.float32)
    while (beyond := np.abs(expected) > 2).any():
        many = np.count_nonzero(beyond)
        expected[beyond] = generator.standard_normal(many, np.float32)
    drawn = kernel('truncated_normal', conv(256, 3, stddev=0.5))
    np.testing.assert_array_equal(drawn, expected * np.float32(0.5))


def test_init_draws_what_a_run_of_the_paper_starts_from(small):
    network = small('inception_v4')
    expected = initial_variables(network, seed=3, scheme='he')
    chex.assert_trees_all_equal(init(network, seed=3), expected)
    for config in CONFIGS.glob('imagenet*.py'):
        assert f"'initializer': '{PAPER_SCHEME}'" in config.read_text(), config


def test_an_unknown_scheme_is_refused(small):
    with pytest.raises(ValueError, match='did you mean glorot'):
        init(small('inception_v4'), scheme='gloro')
