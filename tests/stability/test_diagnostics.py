"""Every number of the diagnostics against a direct computation."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.steps import DISTORT, NUMBERS, RECIPE, batch, begin, stepper
from helpers.tiny import NET
from jax.flatten_util import ravel_pytree

from inception_jax.model.classifier import Classifier
from inception_jax.stability.diagnostics import diagnose, update_ratio
from inception_jax.steps.by_block import block_names, block_norms, blocks_finite
from inception_jax.steps.forward import forward
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.losses import cross_entropy
from inception_jax.steps.state import initial_state

BLOCKS = ('stem', 'a_1', 'a_2', 'logits')
CLASSIFIER = Classifier(NET, RECIPE.batch_norm_decay)


@pytest.fixture(scope='module')
def diagnosis():
    state = begin(residual_scale=(0.3, 0.7))
    look = functools.partial(
        diagnose, classifier=CLASSIFIER, recipe=RECIPE, augment=DISTORT
    )
    return jax.device_get(jax.jit(look)(state, batch()))


@pytest.fixture(scope='module')
def grids():
    """Returns the intermediates, the logits and the features of the same pass."""
    state = begin(residual_scale=(0.3, 0.7))
    outputs, updated = forward(
        state,
        state.params,
        batch(),
        classifier=CLASSIFIER,
        augment=DISTORT,
        mutable=('batch_stats', 'intermediates'),
    )
    return jax.device_get((updated['intermediates'], outputs.logits, outputs.features))


def rms(x):
    return np.sqrt(np.mean(np.square(x, dtype=np.float64)))


def test_the_blocks_come_from_the_image_on():
    assert block_names(NET) == BLOCKS


def test_outputs_of_every_block(diagnosis, grids):
    for place, name in enumerate(BLOCKS):
        (x,) = grids[0][name]['output']
        axes = tuple(range(x.ndim - 1))
        np.testing.assert_allclose(diagnosis['output_rms'][place], rms(x), rtol=1e-5)
        np.testing.assert_allclose(diagnosis['zero_share'][place], (x == 0).mean())
        silent = (np.abs(x).max(axis=axes) == 0).mean()
        np.testing.assert_allclose(diagnosis['dead_channels'][place], silent)
    assert 0 < diagnosis['zero_share'][1] < 1


def test_trunk_and_branch_of_residual_blocks(diagnosis, grids):
    for place, name, scale in ((1, 'a_1', 0.3), (2, 'a_2', 0.7)):
        (x,), (f,) = grids[0][name]['trunk'], grids[0][name]['branch']
        np.testing.assert_allclose(diagnosis['trunk_rms'][place], rms(x), rtol=1e-5)
        np.testing.assert_allclose(diagnosis['branch_rms'][place], rms(f), rtol=1e-5)
        ratio = rms(np.float32(scale) * f) / rms(x)
        np.testing.assert_allclose(diagnosis['branch_ratio'][place], ratio, rtol=1e-5)
    for quantity in ('trunk_rms', 'branch_rms', 'branch_ratio'):
        assert np.isnan(diagnosis[quantity][[0, 3]]).all()


def test_nats_learned_are_those_below_the_uniform_guess(diagnosis, grids):
    shifted = grids[1] - grids[1].max(axis=-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    loss = -np.mean(logs[np.arange(16), batch()['label']])
    np.testing.assert_allclose(diagnosis['nats_learned'], np.log(10) - loss, rtol=1e-4)


def softmax(logits):
    exps = np.exp(np.float64(logits) - logits.max(axis=-1, keepdims=True))
    return exps / exps.sum(axis=-1, keepdims=True)


def test_the_features_and_the_probabilities(diagnosis, grids):
    x = np.float64(grids[2]).mean(axis=(1, 2))
    expected = {
        'logits_rms': rms(grids[1]),
        'saturation': softmax(grids[1]).max(axis=-1).mean(),
        'feature_square': (x**2).sum(axis=-1).mean(),
        'common_feature_square': (x.mean(axis=0) ** 2).sum(),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(diagnosis[name], value, rtol=1e-5)


def test_the_curvature_of_the_logits_layer_is_that_of_its_dense_hessian():
    numbers = {'dropout_rate': 0.0, 'learning_rate': 0.5, 'rms_epsilon': 0.25}
    hparams = hparams_for(NET, **(NUMBERS | numbers))

    def start(recipe):
        state = initial_state(NET, recipe, hparams, seed=0)
        return jax.tree.map(jnp.asarray, state)

    recipe = dataclasses.replace(RECIPE, optimizer='rmsprop', schedule='constant')
    state = start(recipe)
    nu = optax.tree.get(state.opt_state, 'nu')
    nu['logits'] = jax.tree.map(lambda x: 0.5 + jnp.abs(jnp.sin(x * 99)), nu['logits'])
    look = functools.partial(diagnose, recipe=recipe, augment=DISTORT)
    diagnosis = jax.jit(functools.partial(look, classifier=CLASSIFIER))(state, batch())
    outputs, _ = forward(
        state, state.params, batch(), classifier=CLASSIFIER, augment=DISTORT
    )
    x = outputs.features.mean(axis=(1, 2))
    flat, unravel = ravel_pytree(state.params['logits'])

    def loss(flat):
        ((layer,),) = (unravel(flat).values(),)
        logits = x @ layer['kernel'] + layer['bias'][None]
        return cross_entropy(logits, batch()['label'], 0.1).mean()

    hessian = np.asarray(jax.hessian(loss)(flat), np.float64)
    scale = (np.asarray(ravel_pytree(nu['logits'])[0]) + 0.25) ** -0.25
    largest = np.linalg.eigvalsh(hessian * np.outer(scale, scale))[-1]
    np.testing.assert_allclose(diagnosis['logits_curvature'], largest, rtol=2e-3)
    ratio = 0.5 * largest / (2 * (1 + float(state.hparams.momentum)))
    np.testing.assert_allclose(diagnosis['logits_edge_ratio'], ratio, rtol=2e-3)
    slow = dataclasses.replace(recipe, rate_factors=(('logits', 0.05),))
    slower = functools.partial(look, recipe=slow, classifier=CLASSIFIER)
    np.testing.assert_allclose(
        jax.jit(slower)(state, batch())['logits_edge_ratio'], 0.05 * ratio, rtol=2e-3
    )
    frozen = dataclasses.replace(CLASSIFIER, frozen=('logits',))
    state = start(dataclasses.replace(recipe, frozen=('logits',)))
    still = jax.jit(functools.partial(look, classifier=frozen))(state, batch())
    assert float(still['logits_edge_ratio']) == 0.0


def test_a_dead_network_has_learned_nothing():
    state = begin(residual_scale=(0.0, 1.0))
    state.params['a_2']['linear0']['bias'] = jnp.full(16, -1e9)
    look = functools.partial(
        diagnose, classifier=CLASSIFIER, recipe=RECIPE, augment=DISTORT
    )
    diagnosis = look(state, batch())
    assert (
        float(diagnosis['dead_channels'][2]) == float(diagnosis['zero_share'][2]) == 1.0
    )
    assert float(diagnosis['dead_channels'][1]) < 1.0
    assert abs(float(diagnosis['nats_learned'])) < 1e-6


def test_norms_and_ratios_by_block():
    state = begin()
    after, metrics = jax.jit(stepper())(state, batch())
    ratios = update_ratio(state.params, after.params, NET)
    for place, name in enumerate(BLOCKS):
        before, now = (
            np.concatenate([np.ravel(x) for x in jax.tree.leaves(t.params[name])])
            for t in (state, after)
        )
        expected = np.linalg.norm(now - before) / np.linalg.norm(before)
        np.testing.assert_allclose(ratios[place], expected, rtol=1e-4)
    total = np.sqrt(np.sum(np.square(metrics['blocks']['gradient_norm'])))
    np.testing.assert_allclose(metrics['gradient_norm'], total, rtol=1e-6)
    assert np.all(metrics['blocks']['finite'])


def test_gradient_norms_by_block():
    tree = {'a': {'x': jnp.array([3.0]), 'y': jnp.array([[4.0]])}, 'b': {}}
    assert block_norms(tree, ('b', 'a', 'c')).tolist() == [0.0, 5.0, 0.0]


def test_values_that_are_not_finite_are_detected_by_block():
    tree = {'a': {'x': jnp.array([1.0, jnp.nan])}, 'b': {'x': jnp.zeros(2)}}
    assert blocks_finite(tree, ('a', 'b', 'c')).tolist() == [False, True, True]
