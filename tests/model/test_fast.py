"""Fast execution computes the function of plain execution, from the same variables."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.random_networks import SIDE, random_network
from helpers.steps import RECIPE
from helpers.tiny import NET as TINY
from helpers.variables import random_variables

from inception_jax.model import fast
from inception_jax.model.classifier import Classifier, apply_trunk_block
from inception_jax.model.execution import FAST, Execution, execution
from inception_jax.model.initializers import initial_variables
from inception_jax.model.layers import compute_once, normalised, per_channel
from inception_jax.model.pooling import (
    max_pool_windows,
    pool,
    sliced_average,
    sliced_max_pool,
)
from inception_jax.networks import (
    NETWORKS,
    avg_pool,
    chain,
    concat,
    conv,
    load,
    scaled,
)
from inception_jax.networks import network as network_of
from inception_jax.networks import one as stage_of
from inception_jax.networks.ops import residuals
from inception_jax.networks.shapes import measure
from inception_jax.runs.identity import check_same_run

IMAGES = np.random.default_rng(0).uniform(-1, 1, (8, 139, 139, 3)).astype(np.float32)


def shrunk(name):
    """A narrow relative with a block of each stage.

    Its last grid has 72 values a channel here: with few, batch norm magnifies rounding.
    """
    network = dataclasses.replace(load(name), classes=10, input_size=139)
    depth = {s.name: 1 / len(s.blocks) for s in network.stages if s.numbered}
    return scaled(network, width=0.125, depth=depth)


def relative(actual, expected):
    """Returns the distance of two trees over the norm of the second."""
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    vector, reference = (
        np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])
        for tree in (actual, expected)
    )
    return np.linalg.norm(vector - reference) / np.linalg.norm(reference)


@functools.cache
def forward(network, how, platform=None, **options):
    """Returns the outputs of a training batch, and the statistics after it."""
    classifier = Classifier(network, 0.9, execution=how, platform=platform, **options)
    variables = initial_variables(network, seed=0, scheme='he')
    apply = functools.partial(classifier.apply, train=True, mutable=['batch_stats'])
    return jax.jit(apply)(variables, IMAGES)


def pullbacks(network, apply):
    """Returns, for every block, output and derivatives on an input of its own.

    Block by block, since a difference in rounding that grows through a network puts a
    ReLU here and there on its other side, also in one that is computed plainly.
    """
    variables = initial_variables(network, seed=0, scheme='he')
    generator = np.random.default_rng(0)

    def normal(shape):
        return generator.normal(size=shape).astype(np.float32)

    def of(block, x, gradient):
        block_variables = {c: tree.get(block.name, {}) for c, tree in variables.items()}
        scales = jnp.full(len(residuals(block.op)), 0.3)

        def output(params, x, scales):
            return apply(block, block_variables | {'params': params}, x, scales)

        y, back = jax.vjp(output, block_variables['params'], x, scales)
        return y, back(gradient)

    blocks = [b for b in measure(network) if b.stage not in ('logits', 'auxiliary')]
    inputs = [(normal((4, *b.input)), normal((4, *b.output))) for b in blocks]
    return jax.jit(
        lambda inputs: [of(b, *x) for b, x in zip(blocks, inputs, strict=True)]
    )(inputs)


@functools.cache
def plainly(network):
    classifier = Classifier(network, 0.9, execution='plain')

    def apply(block, variables, x, scales):
        return apply_trunk_block(
            classifier,
            {c: {block.name: v} for c, v in variables.items()},
            block,
            x,
            list(scales),
        )[0]

    return pullbacks(network, apply)


def fastly(network, platform):
    mode = fast.FastMode(
        FAST[platform], jnp.dtype('float32'), True, None, 0.9, 0.001, False
    )

    def apply(block, variables, x, scales):
        done = fast.apply_block(block.op, mode, variables, x, list(scales), (None, 0.0))
        return done.output

    return pullbacks(network, apply)


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_fast_and_plain_have_the_same_outputs_and_statistics(name):
    network = shrunk(name)
    for fast_tree, plain_tree in zip(
        forward(network, 'fast'), forward(network, 'plain'), strict=True
    ):
        assert relative(fast_tree, plain_tree) < 1e-5


@pytest.mark.parametrize(
    'name',
    [
        'inception_v3_torchvision',
        'inception_v4_slim',
        'inception_resnet_v1_facenet',
        'inception_resnet_v2',
        # Blocks of the others are among those above.
        pytest.param('inception_v3', marks=pytest.mark.slow),
        pytest.param('inception_v4', marks=pytest.mark.slow),
        pytest.param('inception_resnet_v1', marks=pytest.mark.slow),
        pytest.param('inception_resnet_v2_slim', marks=pytest.mark.slow),
    ],
)
def test_every_block_has_the_same_derivatives(name):
    network = shrunk(name)
    for fast_tree, plain_tree in zip(
        fastly(network, 'cpu'), plainly(network), strict=True
    ):
        assert relative(fast_tree, plain_tree) < 1e-5


@pytest.mark.parametrize('platform', ['gpu', 'tpu'])
@pytest.mark.parametrize('name', ['inception_v4', 'inception_resnet_v2'])
def test_the_levers_of_other_platforms_have_the_same_derivatives(name, platform):
    network = shrunk(name)
    for fast_tree, plain_tree in zip(
        fastly(network, platform), plainly(network), strict=True
    ):
        assert relative(fast_tree, plain_tree) < 1e-5


@pytest.mark.parametrize('platform', sorted(FAST))
def test_with_stored_statistics_fast_and_plain_are_the_same(platform):
    network = shrunk('inception_resnet_v1')
    network = dataclasses.replace(network, batch_norm_gamma=True)
    variables = initial_variables(network, seed=0, scheme='he')
    # Statistics and parameters that are not those of the start.
    generator = np.random.default_rng(1)
    variables = jax.tree.map(
        lambda x: x + generator.uniform(0, 0.3, x.shape).astype(x.dtype), variables
    )

    def outputs(how):
        classifier = Classifier(network, 0.9, execution=how, platform=platform)
        apply = functools.partial(classifier.apply, train=False)
        return jax.jit(apply)(variables, IMAGES)

    assert relative(outputs('fast'), outputs('plain')) < 1e-5


def outputs_and_updates(network, how, platform, *, train):
    """Returns the features and the collections of a network with random variables."""
    classifier = Classifier(network, 0.9, execution=how, platform=platform)
    apply = functools.partial(
        classifier.apply, train=train, mutable=['batch_stats', 'intermediates']
    )
    outputs, updated = jax.jit(apply)(
        random_variables(network), IMAGES[:, :SIDE, :SIDE]
    )
    return outputs.features, updated


@pytest.mark.parametrize('seed', range(4))
def test_both_executions_are_the_same_function_of_a_random_network(seed):
    network, train = random_network(seed), seed % 2 == 0
    platform = sorted(FAST)[seed % 3]
    fast_result = outputs_and_updates(network, 'fast', platform, train=train)
    plain_result = outputs_and_updates(network, 'plain', platform, train=train)
    assert relative(fast_result, plain_result) < 1e-5


def test_a_linear_1x1_beside_one_with_batch_norm_is_not_joined_with_it():
    mixed = concat(conv(4), conv(6, linear=True), conv(5), conv(2, linear=True))
    network = network_of('mixed', stage_of('stem', mixed), classes=3, input_size=SIDE)
    for train in (True, False):
        fast_result = outputs_and_updates(network, 'fast', 'cpu', train=train)
        plain_result = outputs_and_updates(network, 'plain', 'cpu', train=train)
        assert relative(fast_result, plain_result) < 1e-5


def test_second_derivatives_go_through_the_moments_of_a_batch():
    classifier = Classifier(TINY, 0.9)
    variables = initial_variables(TINY, seed=0, scheme='he')
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)
    direction = jax.tree.map(
        lambda x: generator.normal(size=x.shape).astype(np.float32), variables['params']
    )

    def product(how):
        def loss(params):
            outputs, _ = classifier.clone(execution=how).apply(
                variables | {'params': params},
                images,
                train=True,
                mutable=['batch_stats'],
            )
            return jnp.sum(outputs.logits**2)

        along = jax.jit(lambda *params: jax.jvp(jax.grad(loss), *params)[1])
        return along((variables['params'],), (direction,))

    assert relative(product('fast'), product('plain')) < 1e-5


def test_blocks_leave_the_same_to_those_who_look():
    network = shrunk('inception_resnet_v1')
    variables = initial_variables(network, seed=0, scheme='he')

    def left(how):
        return Classifier(network, 0.9, execution=how).apply(
            variables, IMAGES, train=True, mutable=['batch_stats', 'intermediates']
        )[1]['intermediates']

    assert relative(left('fast'), left('plain')) < 1e-5


def test_remat_and_frozen_blocks_compute_the_same():
    network = shrunk('inception_resnet_v2')
    options = {'remat': ('a', 'b'), 'frozen': ('stem',)}
    for fast_tree, plain_tree in zip(
        forward(network, 'fast', **options),
        forward(network, 'plain', **options),
        strict=True,
    ):
        assert relative(fast_tree, plain_tree) < 1e-5


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('padding', ['VALID', 'SAME'])
@pytest.mark.parametrize('side', [8, 17])
def test_the_gradient_of_a_maximum_is_that_of_xla_also_where_values_are_equal(
    side, padding, stride
):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, side, side + 1, 3)).astype(np.float32)
    shape = max_pool_windows(x, (3, 3), stride, padding).shape
    weights = generator.normal(size=shape).astype(np.float32)

    def gradient(pool, x):
        return jax.grad(lambda x: jnp.sum(pool(x, (3, 3), stride, padding) * weights))(
            x
        )

    for values in (x, np.maximum(np.round(x), 0)):
        expected = gradient(max_pool_windows, values)
        assert relative(gradient(sliced_max_pool, values), expected) < 1e-6


@pytest.mark.parametrize(
    'average', [avg_pool(2), avg_pool((2, 3)), avg_pool(3, 1, 'VALID'), avg_pool(5)]
)
def test_every_average_of_a_block_is_the_same_in_both_executions(average):
    network = network_of('averages', stage_of('stem', chain(conv(4, 3), average)))
    network = dataclasses.replace(network, input_size=9, classes=3)
    variables = initial_variables(network, seed=0, scheme='he')
    images = IMAGES[:, :9, :9]

    def outputs(how):
        classifier = Classifier(network, 0.9, execution=how, platform='cpu')
        return classifier.apply(variables, images, train=False)

    assert relative(outputs('fast'), outputs('plain')) < 1e-5


@pytest.mark.parametrize('window', [3, (1, 5)])
@pytest.mark.parametrize('count_padding', [False, True])
def test_sliced_averages_and_their_gradients_are_those_of_windows(
    count_padding, window
):
    op = dataclasses.replace(avg_pool(window), count_padding=count_padding)
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype(np.float32)
    expected, back = jax.vjp(functools.partial(pool, op), x)
    sliced, sliced_back = jax.vjp(
        lambda x: sliced_average(x, op.kernel, count_padding), x
    )
    assert relative(sliced, expected) < 1e-6
    assert relative(sliced_back(x), back(x)) < 1e-6


def test_a_gradient_that_is_not_a_number_does_not_become_zero():
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 2)).astype(np.float32)
    maxima, back = jax.vjp(lambda x: sliced_max_pool(x, (3, 3), 2, 'VALID'), x)
    (gradient,) = back(jnp.full_like(maxima, jnp.nan))
    assert jnp.isnan(gradient).any()


def test_residual_sums_are_computed_once_also_with_constant_scales():
    network = dataclasses.replace(
        load('inception_resnet_v2_slim'), classes=10, input_size=139
    )
    network = scaled(network, width=0.125, depth=0.5)
    variables = initial_variables(network, seed=0, scheme='he')

    def maxima(how):
        """Returns how many ReLUs the compiled program has."""
        classifier = Classifier(network, 0.9, execution=how, platform='cpu')
        forward = jax.jit(functools.partial(classifier.apply, train=False))
        program = forward.lower(variables, IMAGES[:1]).compile()
        return program.as_text().count(' maximum(')

    assert maxima('fast') < 0.7 * maxima('fast-kept')


def test_values_that_are_computed_once_keep_their_bits():
    x = np.array([np.nan, np.inf, -np.inf, -0.0, 3e38, 0.1], np.float32)
    for number in (x, np.float32(0.17)):
        computed = np.asarray(jax.jit(compute_once)(x, number))
        assert computed.tobytes() == x.tobytes()
    assert np.isnan(compute_once(x, np.float32(np.nan))).all()


@pytest.mark.parametrize('mean', [0.0, 30.0])
@pytest.mark.parametrize('relu', [False, True])
def test_the_derivatives_of_batch_norm_are_those_of_its_formula(mean, relu):
    generator = np.random.default_rng(0)
    x = generator.normal(mean, size=(8, 9, 9, 5))
    gamma, bias, gradient = (generator.normal(size=s) for s in (5, 5, x.shape))

    def formula(x, gamma, bias):
        axes = {'axis': (0, 1, 2), 'keepdims': True}
        centred = x - x.mean(**axes)
        scaled = centred / jnp.sqrt((centred**2).mean(**axes) + 1e-3)
        y = scaled * per_channel(gamma, x) + per_channel(bias, x)
        return jax.nn.relu(y) if relu else y

    with jax.enable_x64(True):
        expected = jax.vjp(formula, x, gamma, bias)[1](gradient)
    ours = functools.partial(normalised, relu, None, 1e-3, 81)
    x, gamma, bias, gradient = map(np.float32, (x, gamma, bias, gradient))
    (_, moments), back = jax.vjp(ours, x, gamma, bias)
    derivatives = back((gradient, jax.tree.map(jnp.zeros_like, moments)))
    for derivative, of_formula in zip(derivatives, expected, strict=True):
        # The variance, a mean of squares less the square of the mean as in Flax, loses
        # that much, and nothing else may lose more.
        assert relative(derivative, np.float32(of_formula)) < 1e-6 + 3e-7 * mean**2


def test_an_execution_is_a_platforms_levers_less_those_named():
    assert execution('plain') is None
    assert execution('fast', 'cpu') == FAST['cpu']
    less = execution('fast-siblings-kept', 'cpu')
    assert less == FAST['cpu']._replace(siblings=False, kept=False)
    assert execution('fast', 'metal') == FAST['gpu']


@pytest.mark.parametrize('name', ['fest', '', 'fast-sibling', 'plain-kept'])
def test_an_unknown_execution_is_refused_with_the_levers(name):
    with pytest.raises(
        ValueError, match=r'execution is .*expected fast, plain'
    ) as error:
        dataclasses.replace(RECIPE, execution=name)
    assert all(lever in str(error.value) for lever in Execution._fields)


def test_a_run_may_resume_under_another_execution(tmp_path):
    def whose(how):
        config = {'recipe': {'execution': how, 'schedule': 'constant'}}
        return {
            'fingerprint': 'f',
            'network': 'n',
            'data': {},
            'replicas': 1,
            'config': config,
            'weights': None,
            'inception_jax': '1',
        }

    check_same_run(tmp_path, whose('plain'), whose('fast'))


def test_images_of_another_size_than_a_clipped_kernel_takes_are_refused():
    network = dataclasses.replace(shrunk('inception_v3'), input_size=299)
    variables = initial_variables(network, seed=0, scheme='he')
    with pytest.raises(ValueError, match='use images of the input size'):
        Classifier(network, 0.9).apply(variables, IMAGES, train=False)
