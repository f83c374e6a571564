"""Residual rules and the extra batch norm as arrays: starts, sums and gradients."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tiny import NET
from helpers.variables import shapes

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks import RULES, choose
from inception_jax.networks.describe.table import summary
from inception_jax.networks.network import program, residual_scales, trunk
from inception_jax.networks.rules import apply_rule, extra_batch_norm

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
RULED = {name: apply_rule(name, NET) for name in RULES}


@functools.partial(jax.jit, static_argnames=('net', 'dtype'))
def forward(net, values, images, scale, *, dtype=jnp.float32):
    return Classifier(net, 0.9, dtype=dtype).apply(
        values,
        images,
        train=True,
        residual_scale=scale,
        mutable=['batch_stats', 'intermediates'],
    )


def apply(net, *, values=None, images=IMAGES, scale=None, dtype=jnp.float32):
    """Returns outputs, and statistics and intermediates, in training."""
    values = values or initial_variables(net, seed=0, scheme='he')
    scale = np.float32(residual_scales(net) if scale is None else scale)
    return forward(program(net), values, images, scale, dtype=dtype)


@functools.partial(jax.jit, static_argnames='net')
@functools.partial(jax.grad, argnums=1)
def slopes(net, params, batch_stats, scale):
    values = {'params': params, 'batch_stats': batch_stats}
    outputs, _ = forward(net, values, IMAGES, scale)
    return jnp.square(outputs.features).mean() + jnp.square(outputs.logits).mean()


def gradients(net):
    """Returns the gradients of a loss by parameter at the initial values."""
    values = initial_variables(net, seed=0, scheme='he')
    scale = np.float32(residual_scales(net))
    return slopes(program(net), values['params'], values['batch_stats'], scale)


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('gamma', [False, True])
def test_initial_variables_under_a_rule_are_those_of_the_linen_module(rule, gamma):
    net = dataclasses.replace(RULED[rule], batch_norm_gamma=gamma)
    if rule != 'non_residual':
        net = extra_batch_norm(net)
    init = Classifier(net, 0.9).init
    linen = jax.eval_shape(lambda x: init(jax.random.key(0), x, train=False), IMAGES)
    values = initial_variables(net, seed=0, scheme='he')
    assert shapes(linen) == shapes(values)
    described = summary(net)['params']
    assert sum(x.size for x in jax.tree.leaves(values['params'])) == described


@pytest.mark.parametrize('rule', ['skip_init', 'zero_init'])
def test_residual_blocks_start_as_the_identity(rule):
    grids = apply(RULED[rule])[1]['intermediates']
    for name in ('a_1', 'a_2'):
        assert (grids[name]['trunk'][0] > 0).any()
        np.testing.assert_array_equal(grids[name]['output'], grids[name]['trunk'])


def test_layer_scale_acts_on_each_channel():
    net = apply_rule('layer_scale', NET)
    values = initial_variables(net, seed=0, scheme='he')
    scale = values['params']['a_1']['scale0']['scale']
    assert scale.shape == (16,)
    np.testing.assert_array_equal(scale, np.full(16, 0.1, np.float32))
    scale[3] = 0.0
    grids = apply(net, values=values)[1]['intermediates']['a_1']
    assert (grids['branch'][0][..., 3] == 0).all()
    assert (grids['branch'][0][..., 4] != 0).any()


def test_a_learned_scale_at_the_constant_gives_what_the_constant_gives():
    constant, learned = apply(NET)[0], apply(RULED['learned_scale'])[0]
    np.testing.assert_allclose(learned.logits, constant.logits, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        learned.features, constant.features, rtol=1e-6, atol=1e-6
    )


def test_a_residual_scale_that_is_given_multiplies_the_learned_one():
    net = RULED['learned_scale']
    values = initial_variables(net, seed=0, scheme='he')
    half = apply(net, values=values, scale=0.5)[0].logits
    for block in ('a_1', 'a_2'):
        # Not in place: the computation before may still read it.
        learned = values['params'][block]['scale0']
        learned['scale'] = learned['scale'] * np.float32(0.5)
    np.testing.assert_allclose(
        apply(net, values=values)[0].logits, half, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize('rule', ['skip_init', 'learned_scale', 'layer_scale'])
def test_gradients_reach_learned_scales_from_the_start(rule):
    derivatives = gradients(RULED[rule])
    for block in ('a_1', 'a_2'):
        gradient = derivatives[block]['scale0']['scale']
        assert np.isfinite(gradient).all()
        assert (jnp.abs(gradient) > 0).any()


def test_gradients_reach_a_linear_convolution_that_starts_at_zero():
    values = initial_variables(RULED['zero_init'], seed=0, scheme='he')['params']
    assert not values['a_1']['linear0']['kernel'].any()
    assert jnp.abs(gradients(RULED['zero_init'])['a_1']['linear0']['kernel']).max() > 0


def test_the_non_residual_network_computes_and_learns():
    assert np.isfinite(apply(RULED['non_residual'])[0].logits).all()
    kernels = gradients(RULED['non_residual'])['a_2']
    assert jnp.abs(kernels['conv0']['kernel']).max() > 0
    assert set(kernels) == {'branch0_conv0', 'branch1_conv0', 'branch1_conv1', 'conv0'}


def test_learned_scales_and_norms_keep_the_dtype_of_the_network():
    net = extra_batch_norm(RULED['layer_scale'])
    outputs, left = apply(net, dtype=jnp.bfloat16)
    assert outputs.features.dtype == jnp.bfloat16
    assert left['intermediates']['a_1']['branch'][0].dtype == jnp.bfloat16
    statistics = jax.tree.leaves(left['batch_stats'])
    assert {x.dtype for x in statistics} == {jnp.dtype('float32')}


# The extra batch norm.


def test_the_extra_batch_norm_stands_between_the_last_sum_and_its_relu():
    net = extra_batch_norm(NET)
    plain = summary(NET)['params']
    assert summary(net)['params'] == plain + 16
    outputs, left = apply(net)
    grids = left['intermediates']['a_2']
    total = grids['trunk'][0] + 0.2 * grids['branch'][0]
    mean = total.mean((0, 1, 2), keepdims=True)
    variance = total.var((0, 1, 2), keepdims=True)
    expected = jax.nn.relu((total - mean) / jnp.sqrt(variance + 1e-3))
    np.testing.assert_allclose(outputs.features, expected, rtol=1e-4, atol=1e-5)
    statistics = left['batch_stats']['a_2']['norm0']['bn']
    np.testing.assert_allclose(
        statistics['mean'], 0.1 * mean.ravel(), rtol=1e-4, atol=1e-6
    )


def test_gradients_pass_the_extra_batch_norm():
    derivatives = gradients(extra_batch_norm(NET))
    assert jnp.abs(derivatives['a_2']['norm0']['bn']['bias']).max() > 0
    assert jnp.abs(derivatives['stem']['conv0']['kernel']).max() > 0


def test_normalizer_free_branches_start_every_stage_at_a_fifth_of_the_trunk():
    net = choose('inception_resnet_v1', width=0.2, depth=0.2, input_size=75)
    net = apply_rule('normalizer_free', net)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 75, 75, 3)).astype(np.float32)
    grids = apply(net, images=images)[1]['intermediates']
    blocks = [block.name for block in trunk(net) if 'trunk' in grids[block.name]]
    scales = dict(zip(blocks, residual_scales(net), strict=True))
    for name in ('a_1', 'b_1', 'c_1'):
        x, branch = grids[name]['trunk'][0], grids[name]['branch'][0]
        ratio = scales[name] * math.sqrt(jnp.square(branch).mean())
        ratio /= math.sqrt(jnp.square(x).mean())
        assert ratio == pytest.approx(0.2, rel=0.3), name
        assert jnp.square(branch).mean() == pytest.approx(1.0, rel=0.3), name


def test_a_program_computes_what_its_network_does():
    values = initial_variables(NET, seed=0, scheme='he')
    logits = Classifier(NET, 0.9).apply(values, IMAGES, train=False).logits
    options = {'train': False, 'residual_scale': residual_scales(NET)}
    shared = Classifier(program(NET), 0.9).apply(values, IMAGES, **options).logits
    np.testing.assert_array_equal(logits, shared)


def test_relatives_share_a_compiled_program():
    apply(RULED['skip_init'])
    before = forward._cache_size()
    apply(RULED['learned_scale'])
    assert forward._cache_size() == before
