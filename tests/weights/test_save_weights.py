"""Weights that a Python user saves and loads."""

import dataclasses
import sys

import jax
import numpy as np
import pytest
from helpers import tiny
from helpers.variables import random_variables

from inception_jax.networks import load, scaled
from inception_jax.networks.catalogue import choose
from inception_jax.weights.trained import load_weights
from inception_jax.weights.weight_file import save_weights

SMALL = {'name': 'inception_v4', 'width': 0.05, 'depth': 0.1, 'input_size': 75}


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'new' / 'a.safetensors'


def test_weights_come_back_with_what_was_said_of_them(path):
    network = choose(**SMALL, classes=3)
    variables = random_variables(network)
    file = save_weights(
        str(path),
        SMALL,
        variables,
        class_names=['ant', 'bee', 'cat'],
        origin={'made': 'here'},
        licence='MIT',
    )
    assert 'licence         MIT' in str(file)
    trained = load_weights(str(path))
    assert repr(trained) == 'Trained(inception_v4, 3 classes)'
    assert trained.network == network
    assert trained.class_names == ('ant', 'bee', 'cat')
    assert (trained.origin, trained.licence) == ({'made': 'here'}, 'MIT')
    jax.tree.map(np.testing.assert_array_equal, trained.variables, variables)


def test_a_network_of_your_own_is_saved_by_its_path(path):
    variables = random_variables(tiny.NET)
    save_weights(path, 'helpers.tiny:NET', variables, residual_scale=[0.1, 0.3])
    trained = load_weights(path, 'helpers.tiny:NET')
    assert trained.network == tiny.NET
    np.testing.assert_array_equal(trained.scales, np.float32([0.1, 0.3]))


def test_a_weight_file_is_printed_without_the_code_of_its_network(path, monkeypatch):
    variables = random_variables(tiny.NET)
    file = save_weights(path, 'helpers.tiny:NET', variables)
    assert str(file).startswith('network         tiny, ')
    monkeypatch.delitem(sys.modules, 'helpers.tiny')
    assert str(file).startswith('network         helpers.tiny:NET, ')
    assert 'helpers.tiny' not in sys.modules


def test_a_network_of_the_catalogue_is_saved_by_its_value(path):
    changes = {'auxiliary': None, 'input_size': 160, 'batch_norm_gamma': True}
    network = dataclasses.replace(load('inception_v3'), classes=5, **changes)
    zeros = jax.tree.map(np.zeros_like, random_variables(network))
    file = save_weights(path, network, zeros)
    assert file.info.network['name'] == 'inception_v3'
    assert load_weights(path).network == network


@pytest.mark.parametrize(
    ('network', 'options', 'message'),
    [
        (tiny.NET, {}, 'tiny differs from the network of that name'),
        (scaled(load('inception_v4'), width=0.5), {}, "config's section network"),
        ('helpers.tiny:PLAIN', {}, 'the variables are not those of plain: 28 not exp'),
        ('helpers.tiny:NET', {'class_names': 'abc'}, '3 class names for 10 classes'),
        ('helpers.tiny:NET', {'residual_scale': [1]}, 'has 1 residual scales; tiny'),
    ],
)
def test_weights_that_could_not_be_loaded_are_not_saved(
    network, options, message, path
):
    with pytest.raises(ValueError, match=message):
        save_weights(path, network, random_variables(tiny.NET), **options)
    assert not path.parent.exists()


def test_values_that_are_no_variables_are_refused(path):
    with pytest.raises(ValueError, match='the variables have no logits; expected'):
        save_weights(path, 'helpers.tiny:NET', {})
