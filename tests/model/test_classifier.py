"""The linen reading of a network: its outputs, variables and statistics."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers.tiny import NET as TINY
from helpers.variables import shapes

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.model.pooling import pool
from inception_jax.networks import (
    NETWORKS,
    Module,
    avg_pool,
    chain,
    choose,
    conv,
    load,
    map_network,
    one,
)
from inception_jax.networks import network as make_network
from inception_jax.networks.network import residual_scales
from inception_jax.networks.ops import Residual
from inception_jax.networks.shapes import measure

KEY = jax.random.key(0)
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 75, 75, 3)).astype(np.float32)


def variables(network, scheme='he'):
    return initial_variables(network, seed=0, scheme=scheme)


def logits(network, *, train=False, **options):
    outputs = Classifier(network, 0.9).apply(
        variables(network),
        IMAGES,
        train=train,
        mutable=['batch_stats'],
        **options,
    )[0]
    return outputs.logits


def test_initial_variables_are_those_of_the_linen_module(networks):
    for network in networks:
        x = jax.ShapeDtypeStruct((1, 299, 299, 3), jnp.float32)
        linen = jax.eval_shape(
            lambda x, network=network: Classifier(network, 0.9).init(
                jax.random.key(0), x, train=False
            ),
            x,
        )
        assert shapes(linen) == shapes(variables(network, 'zeros')), network.name


def test_parameters_are_as_many_as_described(networks):
    for network in networks:
        network = dataclasses.replace(network, batch_norm_gamma=True, input_size=128)
        params = jax.tree.leaves(variables(network, 'zeros')['params'])
        blocks = measure(network)
        described = [b.total('params') + b.total('batch_norm_channels') for b in blocks]
        assert sum(x.size for x in params) == sum(described), network.name


@pytest.mark.parametrize(
    'name',
    [
        'inception_v3',
        'inception_v4',
        'inception_resnet_v1',
        'inception_resnet_v2_slim',
    ],
)
def test_shrunk_networks_have_finite_outputs_and_gradients(name, small):
    network = small(name)
    classifier = Classifier(network, 0.9)
    start = variables(network)

    def loss(params):
        outputs, _ = classifier.apply(
            start | {'params': params}, IMAGES, train=True, mutable=['batch_stats']
        )
        heads = [outputs.logits, outputs.auxiliary_logits]
        return sum(jnp.square(head).mean() for head in heads if head is not None)

    gradients = jax.jit(jax.grad(loss))(start['params'])
    norms = jax.tree.map(np.linalg.norm, jax.device_get(gradients))
    assert all(np.isfinite(norm) for norm in jax.tree.leaves(norms))
    kernels = [
        n for path, n in jax.tree.leaves_with_path(norms) if 'kernel' in str(path)
    ]
    assert min(kernels) > 0


def test_residual_scale_zero_is_identity_up_to_relu(small):
    network = small('inception_resnet_v1')
    plain = map_network(
        lambda op: (
            dataclasses.replace(op, branch=avg_pool(1), scale=0.0)
            if isinstance(op, Residual)
            else op
        ),
        network,
    )
    np.testing.assert_array_equal(logits(network, residual_scale=0.0), logits(plain))


def test_none_is_the_scale_of_the_network_and_a_number_is_for_all_blocks(small):
    network = small('inception_resnet_v2')
    default = logits(network, train=True)
    listed = logits(network, train=True, residual_scale=residual_scales(network))
    np.testing.assert_array_equal(default, listed)
    single = logits(network, train=True, residual_scale=0.3)
    vector = logits(network, train=True, residual_scale=(0.3, 0.3, 0.3))
    np.testing.assert_array_equal(single, vector)
    assert jnp.abs(single - default).max() > 1e-3


def test_each_scale_acts_on_its_own_block(small):
    network = small('inception_resnet_v2')
    base = logits(network, train=True)
    for block in range(3):
        scales = np.array(residual_scales(network))
        scales[block] += 0.5
        changed = logits(network, train=True, residual_scale=scales)
        assert jnp.abs(changed - base).max() > 1e-4, block


def test_blocks_leave_what_their_outputs_are_made_of(small):
    network = small('inception_resnet_v1')
    # To the bit, so as it is written; test_fast.py compares the other execution.
    outputs, left = Classifier(network, 0.9, execution='plain').apply(
        variables(network), IMAGES, train=True, mutable=['batch_stats', 'intermediates']
    )
    intermediates = left['intermediates']
    assert set(intermediates) == {block.name for block in measure(network)}
    residual = [name for name in intermediates if 'trunk' in intermediates[name]]
    assert residual == ['a_1', 'b_1', 'c_1']
    for name, scale in zip(residual, residual_scales(network), strict=True):
        (output,), (x,), (branch,) = (
            intermediates[name][key] for key in ('output', 'trunk', 'branch')
        )
        total = x + jnp.float32(scale) * branch
        np.testing.assert_array_equal(output, jnp.maximum(total, 0))
    np.testing.assert_array_equal(intermediates['c_1']['output'][0], outputs.features)
    np.testing.assert_array_equal(intermediates['logits']['output'][0], outputs.logits)


def test_average_pooling_does_not_count_padding():
    ramp = jnp.ones((1, 3, 3, 1))
    np.testing.assert_allclose(pool(avg_pool(), ramp), ramp, rtol=1e-6)


def test_the_released_last_block_has_no_relu(small):
    outputs = [
        Classifier(network, 0.9).apply(variables(network), IMAGES, train=False)
        for network in (
            small('inception_resnet_v1_facenet'),
            small('inception_resnet_v1'),
        )
    ]
    assert outputs[0].features.min() < 0 <= outputs[1].features.min()


def test_batch_norm_only_shifts_and_the_expansion_has_a_bias(small):
    block = variables(small('inception_resnet_v1'))['params']['a_1']
    assert set(block['branch0_conv0']) == {'kernel', 'bn'}
    assert set(block['branch0_conv0']['bn']) == {'bias'}
    assert set(block['linear0']) == {'kernel', 'bias'}


def test_statistics_follow_the_batch_with_the_decay_given(small):
    network = small('inception_v4')
    before = variables(network)
    _, after = Classifier(network, 0.9).apply(
        before, IMAGES, train=True, mutable=['batch_stats']
    )
    means = after['batch_stats']['stem']['conv0']['bn']['mean']
    kernel = before['params']['stem']['conv0']['kernel']
    grid = jax.lax.conv_general_dilated(
        IMAGES, kernel, (2, 2), 'VALID', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    np.testing.assert_allclose(means, 0.1 * grid.mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    variances = after['batch_stats']['stem']['conv0']['bn']['var']
    np.testing.assert_allclose(variances, 0.9 + 0.1 * grid.var((0, 1, 2)), rtol=1e-4)


def test_dropout_needs_keys_and_is_a_function_of_each_key(small):
    network = small('inception_v4')
    keys = jax.random.split(jax.random.key(1), 4)
    none = logits(network, dropout_rate=0.5)
    some = logits(network, dropout_rate=0.5, keys=keys)
    swapped = logits(network, dropout_rate=0.5, keys=keys[jnp.array([0, 2, 1, 3])])
    np.testing.assert_array_equal(none, logits(network))
    assert jnp.abs(some - none).max() > 1e-3
    np.testing.assert_allclose(some[0], swapped[0], rtol=1e-5)
    assert jnp.abs(some[1] - swapped[1]).max() > 1e-3


def test_dropout_is_drawn_from_the_key_that_linen_gives_in_training():
    start, images = initial_variables(TINY, seed=0, scheme='he'), IMAGES[:, :16, :16]

    @functools.partial(jax.jit, static_argnames='train')
    def logits(key, train):
        return (
            Classifier(TINY, 0.9)
            .apply(
                start,
                images,
                train=train,
                rngs={'dropout': key},
                mutable=['batch_stats'],
            )[0]
            .logits
        )

    drawn, again, other = (logits(jax.random.key(n), train=True) for n in (0, 0, 1))
    np.testing.assert_array_equal(drawn, again)
    assert jnp.abs(drawn - other).max() > 1e-3
    evaluated = [logits(jax.random.key(n), train=False) for n in (0, 1)]
    np.testing.assert_array_equal(*evaluated)


@pytest.mark.parametrize(
    ('images', 'options', 'message'),
    [
        (
            np.zeros((2, 16, 16, 3), np.uint8),
            {},
            r'from -1 to 1: .* images \* \(2 / 255\) - 1',
        ),
        (np.zeros((16, 16, 3), np.float32), {}, r'shape \[16, 16, 3\]; expected'),
        (np.zeros((2, 3, 16, 16), np.float32), {}, 'channels last'),
        (IMAGES, {'residual_scale': (0.1, 0.2, 0.3)}, 'each of its 2 residual blocks'),
        (IMAGES, {'residual_scale': np.nan}, 'the residual scale is nan'),
        (IMAGES, {'dropout_rate': 1.0}, 'dropout_rate is 1.0; expected a share'),
        (IMAGES, {'keys': KEY}, r'keys of the shape \[\] for 4 images'),
        (IMAGES, {'keys': jax.random.split(KEY, 3)}, r'\[3\] for 4 images'),
    ],
)
def test_a_wrong_argument_is_refused_in_one_line(images, options, message):
    start = initial_variables(TINY, seed=0, scheme='zeros')
    with pytest.raises(ValueError, match=message) as error:
        Classifier(TINY).apply(start, images, train=False, **options)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('dtype', ['float64', 'float16', 'int32'])
def test_a_dtype_that_only_some_layers_would_have_is_refused(dtype):
    with pytest.raises(ValueError, match=f'dtype {dtype}; expected float32 or bf'):
        Classifier(TINY, dtype=jnp.dtype(dtype)).apply({}, IMAGES, train=False)


def test_images_that_are_too_small_are_refused_before_the_blocks():
    net = choose('inception_resnet_v1', width=0.02, depth=0.1)
    start = initial_variables(net, seed=0, scheme='zeros')
    message = (
        'images of 64x90 are too small for inception_resnet_v1; use at least 75x75'
    )
    with pytest.raises(ValueError, match=message):
        Classifier(net).apply(start, np.zeros((1, 64, 90, 3)), train=False)


def test_the_scaling_of_the_message_gives_the_pixel_range():
    for low, high in ((-1.0, 1.0), (0.0, 1.0), (0.5, 2.0)):
        net = dataclasses.replace(TINY, pixel_range=(low, high))
        with pytest.raises(ValueError, match='scale pixels') as error:
            Classifier(net).apply({}, np.zeros((1, 16, 16, 3), np.uint8), train=False)
        scaling = str(error.value).partition(' with ')[2]
        ends = eval(scaling, {'images': np.array([0, 255], np.uint8)})
        np.testing.assert_allclose(ends, [low, high], atol=1e-6)


def test_a_name_in_place_of_the_network_of_a_classifier_is_one_line():
    with pytest.raises(TypeError, match=r"'inception_v4' is not a network; ij\.load"):
        Classifier('inception_v4').apply({}, IMAGES, train=False)


def test_variables_without_statistics_are_refused():
    start = initial_variables(TINY, seed=0, scheme='zeros')
    with pytest.raises(ValueError, match='no bn/mean of conv0 in batch_stats'):
        Classifier(TINY).apply({'params': start['params']}, IMAGES, train=False)


def test_dropout_zeroes_its_rate_and_scales_the_rest():
    net = make_network('drop', one('only', conv(4096)), classes=4096, input_size=1)
    values = variables(net)
    values['params']['logits']['dense0']['kernel'] = np.eye(4096, dtype=np.float32)
    values['params']['only']['conv0']['bn']['bias'] = np.ones(4096, np.float32)
    values['params']['only']['conv0']['kernel'] *= 0
    images = np.ones((2, 1, 1, 3), np.float32)
    outputs = Classifier(net, 0.9).apply(
        values, images, train=False, dropout_rate=0.2, keys=jax.random.split(KEY)
    )
    kept = outputs.logits != 0
    assert 0.18 < 1 - kept.mean() < 0.22
    np.testing.assert_allclose(outputs.logits[kept], 1.25, rtol=1e-6)
    assert (kept[0] != kept[1]).any()


class Norm(nn.Module):
    """A module of a user with statistics, which takes the flag `train`."""

    @nn.compact
    def __call__(self, x, *, train):
        return nn.BatchNorm(use_running_average=not train, momentum=0.5)(x)


def test_a_module_of_a_user_gets_the_train_flag_and_keeps_its_statistics():
    module = Module(Norm, params=lambda shape: 2 * shape[2], macs=lambda shape: 0)
    net = make_network(
        'own', one('only', chain(conv(4), module)), classes=3, input_size=4
    )
    before = variables(net)
    images = IMAGES[:, :4, :4]
    _, after = Classifier(net, 0.9).apply(
        before, images, train=True, mutable=['batch_stats']
    )
    old, new = (
        tree['batch_stats']['only']['module0']['BatchNorm_0']['mean']
        for tree in (before, after)
    )
    assert (old == 0).all()
    assert (new != 0).any()
    np.testing.assert_array_equal(
        Classifier(net, 0.9).apply(before, images, train=False).features.shape,
        (4, 4, 4, 4),
    )


@pytest.mark.slow
def test_every_network_classifies_an_image_of_its_own_size(networks):
    image = np.random.default_rng(1).uniform(-1, 1, (1, 299, 299, 3))
    for network in networks:
        outputs = Classifier(network, 0.9).apply(
            variables(network), image.astype(np.float32), train=False
        )
        assert outputs.features.shape[1:3] == (8, 8), network.name
        assert outputs.logits.shape == (1, 1000)
        assert np.isfinite(outputs.logits).all(), network.name


@pytest.mark.parametrize('name', NETWORKS)
def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32(small, name):
    network = small(name)
    classifier = Classifier(network, 0.9, dtype=jnp.bfloat16)

    def applied(values, images):
        return classifier.apply(values, images, train=True, mutable=['batch_stats'])

    outputs, stats = jax.eval_shape(applied, variables(network), IMAGES)
    assert outputs.features.dtype == jnp.bfloat16
    assert outputs.logits.dtype == jnp.float32
    assert {x.dtype for x in jax.tree.leaves(stats)} == {jnp.dtype('float32')}


def test_logits_in_bfloat16_are_those_in_float32_to_its_precision(small):
    network = small('inception_resnet_v1')
    outputs, _ = Classifier(network, 0.9, dtype=jnp.bfloat16).apply(
        variables(network), IMAGES, train=True, mutable=['batch_stats']
    )
    exact = logits(network, train=True)
    assert jnp.abs(outputs.logits - exact).max() < 0.2 * jnp.abs(exact).max()


def test_the_auxiliary_head_is_clipped_to_small_grids(small):
    network = small('inception_v3')
    kernels = variables(network)['params']['auxiliary']
    assert kernels['conv1']['kernel'].shape[:2] == (1, 1)
    whole = variables(load('inception_v3'))['params']['auxiliary']
    assert whole['conv1']['kernel'].shape == (5, 5, 128, 768)
