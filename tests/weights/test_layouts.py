"""Weights of others: names, shapes and what they compute; and what is refused."""

import dataclasses
import hashlib
import os
import re

import jax
import numpy as np
import pytest
from golden import values
from helpers.conversions import without
from helpers.paths import ROOT

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks import load
from inception_jax.weights.layouts.facenet_pytorch import FACENET_PYTORCH
from inception_jax.weights.layouts.keras import BLOCKS, KERAS
from inception_jax.weights.layouts.slim import SLIM as TF_SLIM
from inception_jax.weights.layouts.timm import TIMM
from inception_jax.weights.layouts.torchvision import TORCHVISION

GOLDEN = ROOT / 'tests' / 'golden'


def network(name, **changes):
    return dataclasses.replace(load(name), **changes)


WITH_GAMMA = {'auxiliary': None, 'batch_norm_gamma': True}
CASES = {
    'timm_v4': (TIMM, network('inception_v4_slim', **WITH_GAMMA)),
    'timm_v2': (TIMM, network('inception_resnet_v2_slim', **WITH_GAMMA)),
    'torchvision_v3': (
        TORCHVISION,
        network('inception_v3_torchvision', auxiliary=None),
    ),
    'facenet_pytorch_v1': (
        FACENET_PYTORCH,
        network('inception_resnet_v1_facenet', **WITH_GAMMA, classes=512),
    ),
    'keras_v3': (KERAS, network('inception_v3', auxiliary=None)),
    'keras_v2': (KERAS, network('inception_resnet_v2_slim', auxiliary=None)),
}
# Keras's layers at the ends of our blocks do not begin with the names of their layers.
KERAS_V3 = ('a_1', 'a_2', 'a_3', 'reduction_a', *(f'b_{n}' for n in range(1, 5)))
KERAS_V3 = (*KERAS_V3, 'reduction_b', 'c_1', 'c_2')
KERAS_V2 = {
    'mixed_5b': 'mixed_5b',
    'reduction_a': 'mixed_6a',
    'reduction_b': 'mixed_7a',
    'c_last': 'custom_scale_layer_39',
    'final': 'conv_7b_ac',
}


def digest(shapes):
    lines = sorted(f'{name} {"x".join(map(str, s))}' for name, s in shapes.items())
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()[:16]


def made(layout, shapes):
    """Returns random arrays with these names and shapes."""

    def fan_in(shape):
        inputs = shape[:-1] if layout is KERAS else shape[1:]
        return int(np.prod(inputs)) if inputs else None

    return {n: values.weights(n, shape, fan_in(shape)) for n, shape in shapes.items()}


@pytest.fixture(scope='module', params=CASES)
def golden(request):
    """Returns layout, network, the state dict, and samples of its outputs by module."""
    layout, net = CASES[request.param]
    with np.load(GOLDEN / f'{request.param}.npz') as file:
        samples = dict(file)
    texts = [text.rpartition(' ') for text in samples.pop('names').tolist()]
    shapes = {
        name: tuple(map(int, shape.split('x'))) if shape else ()
        for name, _, shape in texts
    }
    net = dataclasses.replace(net, input_size=int(samples.pop('size')))
    samples.pop('versions')
    return layout, net, made(layout, shapes), samples


def their_name(net, layout, block):
    """Returns the module of a block: what the names of its layers begin with."""
    if layout is KERAS and net.name == 'inception_v3':
        return f'mixed{KERAS_V3.index(block)}'
    if layout is KERAS:
        stage, _, number = block.partition('_')
        return KERAS_V2.get(block) or f'{BLOCKS[stage]}_{number}_ac'
    prefixes = [
        layer.prefix.replace('.', '/')
        for layer in layout.layers(net)
        if layer.place.block == block
    ]
    return os.path.commonpath(prefixes).replace('/', '.')


def test_every_block_gives_what_theirs_gives(golden):
    layout, net, arrays, samples = golden
    variables = layout.variables(net, arrays)
    images = values.images(net.input_size)
    classifier = Classifier(net, 0.9)

    @jax.jit
    def apply(variables, images):
        return classifier.apply(
            variables, images, train=False, mutable=['intermediates']
        )

    with jax.default_matmul_precision('highest'):
        outputs, left = apply(variables, images)
    grids = {
        their_name(net, layout, block): each['output'][0]
        for block, each in left['intermediates'].items()
        if block not in ('stem', 'logits', 'auxiliary')
    }
    assert len(grids) > 10
    for name, grid in grids.items():
        np.testing.assert_allclose(
            values.sample(grid),
            samples[name],
            rtol=0,
            atol=1e-5 * abs(samples[name][0]),
        )
    logits = np.array(outputs.logits)
    if layout is FACENET_PYTORCH:
        logits /= np.linalg.norm(logits, axis=1, keepdims=True)
    largest = abs(samples['output'][0])
    np.testing.assert_allclose(
        values.sample(logits), samples['output'], rtol=0, atol=1e-5 * largest
    )


# Counts and digests of the names and shapes in TF-Slim's layout, without the embedding
# of facenet.
SLIM = {
    'inception_v3': (388, '20d5d0ccc34edf45'),
    'inception_v4_slim': (608, 'ba383544210ec476'),
    'inception_resnet_v2_slim': (908, 'c695706daa679392'),
    'inception_resnet_v1_facenet': (490, '39271c0581bdfa25'),
}


@pytest.mark.parametrize('name', SLIM)
def test_slim_has_these_names_and_shapes(name):
    """The digests are of lists that were read from the graphs of the authors' code."""
    net = network(name, classes=512 if 'facenet' in name else 1001)
    shapes = {entry.name: entry.shape for entry in TF_SLIM.entries(net)}
    if 'facenet' in name:
        at = 'InceptionResnetV1/Bottleneck'
        del shapes[f'{at}/biases']
        for part in ('beta', 'moving_mean', 'moving_variance'):
            shapes[f'{at}/BatchNorm/{part}'] = (512,)
    assert (len(shapes), digest(shapes)) == SLIM[name]


def variables_of(net):
    """Returns variables in which every value is its own; variances are not below 0."""
    generator = np.random.default_rng(0)

    def draw(path, x):
        values = generator.standard_normal(x.shape).astype(np.float32)
        return abs(values) if path[-1].key == 'var' else values

    start = initial_variables(net, seed=0, scheme='he')
    return jax.tree_util.tree_map_with_path(draw, start)


LAYOUTS = {
    'slim_v3': (TF_SLIM, network('inception_v3')),
    'slim_v2': (TF_SLIM, network('inception_resnet_v2_slim')),
    'timm_v4': CASES['timm_v4'],
    'timm_v2': CASES['timm_v2'],
    'torchvision_v3': (TORCHVISION, network('inception_v3_torchvision')),
    'keras_v3': CASES['keras_v3'],
    'keras_v2': CASES['keras_v2'],
}


@pytest.mark.parametrize('case', LAYOUTS)
def test_there_and_back_is_exact(case):
    layout, net = LAYOUTS[case]
    start = variables_of(net)
    back = layout.variables(net, layout.arrays(net, start))
    jax.tree.map(np.testing.assert_array_equal, back, start)


@pytest.fixture(scope='module')
def state_dict():
    """Returns timm's v4 without gammas, as its state dict."""
    net = network('inception_v4_slim', auxiliary=None)
    return net, TIMM.arrays(net, variables_of(net))


KERNEL = 'features.6.branch2.1.conv.weight'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda arrays: without(without(arrays, KERNEL), 'last_linear.bias'),
            f'^2 missing: {KERNEL}, last_linear.bias$',
        ),
        (lambda arrays: arrays | {'x': np.zeros(1)}, '^1 not expected: x$'),
        (
            lambda arrays: arrays | {KERNEL: arrays[KERNEL].transpose(2, 3, 1, 0)},
            f'^1 of another shape: {KERNEL} 3x3x64x96, expected 96x64x3x3$',
        ),
        (
            lambda arrays: without(arrays, KERNEL) | {'x': np.zeros(1)},
            f'^1 missing: {KERNEL}; 1 not expected: x$',
        ),
        (
            lambda arrays: arrays | {'features.0.bn.weight': np.full(32, 2.0)},
            'features.0.bn.weight is not 1 everywhere, and the network has no gamma',
        ),
        (
            lambda arrays: (
                arrays
                | {
                    'last_linear.weight': np.zeros((1001, 1536)),
                    'last_linear.bias': np.zeros(1001),
                }
            ),
            '^2 of another shape: last_linear.weight 1001x1536, expected 1000x1536, ',
        ),
        (lambda arrays: {}, r'^747 missing: .*, .* and 742 more$'),
    ],
)
def test_arrays_that_do_not_fit_are_all_named(change, message, state_dict):
    net, arrays = state_dict
    with pytest.raises(ValueError, match=message) as error:
        TIMM.variables(net, change(arrays))
    assert '\n' not in str(error.value)


def test_gammas_of_1_are_none(state_dict):
    net, arrays = state_dict
    assert arrays['features.0.bn.weight'].tolist() == 32 * [1.0]
    assert 'scale' not in TIMM.variables(net, arrays)['params']['stem']['conv0']['bn']


def test_the_background_is_left_out():
    net, wide = (network('inception_v3', classes=n) for n in (4, 5))
    arrays = TF_SLIM.arrays(wide, variables_of(wide))
    variables = TF_SLIM.variables(net, arrays)
    for block, prefix in (
        ('logits', 'Logits/Conv2d_1c'),
        ('auxiliary', 'AuxLogits/Conv2d_2b'),
    ):
        dense = variables['params'][block]['dense0']
        name = f'InceptionV3/{prefix}_1x1'
        assert np.array_equal(dense['bias'], arrays[f'{name}/biases'][1:])
        assert np.array_equal(dense['kernel'], arrays[f'{name}/weights'][0, 0, :, 1:])
    with pytest.raises(ValueError, match='4 of another shape'):
        TF_SLIM.variables(network('inception_v3', classes=3), arrays)


def test_leftovers_of_training_and_an_unwanted_head_are_ignored():
    net = network('inception_v3', auxiliary=None, classes=4)
    start = variables_of(network('inception_v3', classes=4))
    arrays = TF_SLIM.arrays(network('inception_v3', classes=4), start)
    arrays['global_step'] = np.zeros((), int)
    arrays['InceptionV3/Conv2d_1a_3x3/weights/RMSProp'] = np.zeros(1)
    variables = TF_SLIM.variables(net, arrays)
    del start['params']['auxiliary'], start['batch_stats']['auxiliary']
    jax.tree.map(np.testing.assert_array_equal, variables, start)


def test_keras_may_count_from_any_number():
    layout, net = CASES['keras_v3']
    start = variables_of(net)

    def later(name):
        kind, number, rest = re.fullmatch(r'(\D+2?\D+?)(?:_(\d+))?(/.*)', name).groups()
        counted = kind in ('conv2d', 'batch_normalization')
        return f'{kind}_{int(number or 0) + 94}{rest}' if counted else name

    arrays = {later(name): x for name, x in layout.arrays(net, start).items()}
    assert 'conv2d_94/kernel' in arrays
    jax.tree.map(np.testing.assert_array_equal, layout.variables(net, arrays), start)


@pytest.mark.parametrize('layout', [TF_SLIM, TIMM, TORCHVISION, FACENET_PYTORCH, KERAS])
def test_a_network_of_another_layout_is_refused(layout):
    with pytest.raises(
        ValueError, match='has no inception_resnet_v2; it has inception_'
    ):
        layout.variables(load('inception_resnet_v2'), {})
