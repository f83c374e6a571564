"""Values of networks: fingerprints that files depend on, and how values show."""

import dataclasses
import doctest
import importlib
import pkgutil
import subprocess
import sys
import types

import pytest

import inception_jax.networks
from inception_jax.networks import (
    Images,
    Module,
    Residual,
    by_block,
    chain,
    choose,
    conv,
    diff,
    draw,
    folded,
    load,
    network,
    one,
    residual,
    residual_scales,
    stage,
    table,
    with_scales,
)
from inception_jax.networks.images import CROP_FIELDS, IMAGE_FIELDS
from inception_jax.networks.network import fingerprint, program, trunk
from inception_jax.networks.shapes import measure

NARROW = {'width': 0.25, 'depth': 0.2}
CHANGED = {
    'input_size': 160,
    'classes': 10,
    'crop_fraction': 0.8975,
    'square_crop': True,
    'interpolation': 'smooth_bicubic',
    'pixel_range': [-127.5 / 128, 127.5 / 128],
    'dropout': 0.5,
    'batch_norm_gamma': True,
    'batch_norm_epsilon': 0.01,
}
# Runs, weight files and probability files hold these. They were computed at a522038.
# Each row: the network, then narrow, then with other images, then folded.
FINGERPRINTS = {
    'inception_v3': '4bfe67a4fdbe 81be94528675 0b2343620367 5dd9db7b6f2c',
    'inception_v4': '8aa2a514346c 09fc791c53e0 a3758b172023 6fec64312b86',
    'inception_resnet_v1': '6d02bd182e97 129b44247bd9 6ff47a4cf856 5bb56f37fcc5',
    'inception_resnet_v2': '52bf0d883c73 1cbecfe83d91 c9889602ff92 5f2e7924221b',
    'inception_v4_slim': '3781e741d513 249c062b7b79 38dc9e422f15 5f2989947bf0',
    'inception_resnet_v2_slim': '14dd08e52af7 d493f4284b4d 3f9eb325b158 f06389ae1ad2',
    'inception_resnet_v1_facenet': (
        'cd084f17a072 c18e1c92311a a6a45fdcba51 5586187da087'
    ),
    'inception_v3_torchvision': 'fb10ffa0a988 28290815724b 78be921c32a7 83ded1701b9d',
}
# Inception-ResNet-v2 at half the width and 0.4 of the depth, and the program of each.
RULE_FINGERPRINTS = {
    'constant': '7b39696ac837 d68416477cb4',
    'skip_init': 'fce337fbb54a 0a3f75e67a19',
    'learned_scale': '602fbbcb6396 0a3f75e67a19',
    'layer_scale': '18b5371f30cd 5a1b3b978bd0',
    'zero_init': '8919edf42c89 d68416477cb4',
    'inverse_sqrt': '4c807aa32e74 d68416477cb4',
    'normalizer_free': '6b05d729a00b d68416477cb4',
    'non_residual': '30db36d5bf53 8a26c8a08f60',
}
SMALL = network(
    'small',
    one('stem', chain(conv(8, 3, 2), conv(16, 3))),
    stage('a', 2, residual(conv(4), conv(4, 3), scale=0.1)),
    classes=10,
    input_size=32,
)


@pytest.mark.parametrize('name', FINGERPRINTS)
def test_fingerprints_in_files_stay_valid(name):
    variants = (
        load(name),
        choose(name, **NARROW),
        choose(name, **CHANGED),
        folded(load(name)),
    )
    assert list(map(fingerprint, variants)) == FINGERPRINTS[name].split()


@pytest.mark.parametrize('rule', RULE_FINGERPRINTS)
def test_fingerprints_of_rules_stay_valid(rule):
    net = choose('inception_resnet_v2', width=0.5, depth=0.4, rule=rule)
    prints = [fingerprint(net), fingerprint(program(net))]
    assert prints == RULE_FINGERPRINTS[rule].split()


def test_images_are_the_fields_of_a_network():
    net = choose('inception_v4', **CHANGED)
    changed = {**CHANGED, 'pixel_range': tuple(CHANGED['pixel_range'])}
    assert dataclasses.asdict(net.images) == {n: changed[n] for n in IMAGE_FIELDS}
    same = dataclasses.replace(load('inception_v4'), **dataclasses.asdict(net.images))
    assert same.images == net.images
    assert load('inception_v4').images == Images()


def test_a_program_forgets_the_crop_and_keeps_the_rest_of_the_images():
    before, after = (n.images for n in (SMALL, program(SMALL)))
    kept = set(IMAGE_FIELDS) - set(CROP_FIELDS)
    assert kept == {'input_size', 'pixel_range'}
    assert all(getattr(before, name) == getattr(after, name) for name in kept)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'input_size': 0}, 'input_size is 0; expected a whole number'),
        ({'crop_fraction': 1.5}, 'crop_fraction is 1.5; expected the share'),
        ({'interpolation': 'nearest'}, "'nearest'; expected one of bilinear"),
        ({'pixel_range': [0.0, 1.0]}, 'expected the pair'),
        ({'pixel_range': (0.0, 1.0, 2.0)}, 'expected the pair'),
    ],
)
def test_images_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Images(**fields)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **fields)


def test_equal_networks_are_measured_once():
    assert measure(SMALL) is measure(dataclasses.replace(SMALL))
    assert isinstance(measure(SMALL), tuple)


def test_numbers_are_distributed_over_the_blocks():
    nested = network('nested', one('a', chain(*2 * SMALL.stages[1].blocks)))
    assert [numbers for _, numbers in by_block(nested, 'xy')] == [['x', 'y']]
    blocks, numbers = zip(*by_block(SMALL, (1.0, 2.0)), strict=True)
    assert blocks == tuple(trunk(SMALL))
    assert numbers == ([], [1.0], [2.0])


def test_numbers_by_block_are_those_that_with_scales_sets():
    net = load('inception_resnet_v2_slim')
    scales = [i / 100 for i in range(len(residual_scales(net)))]
    for block, numbers in by_block(with_scales(net, scales), scales):
        single = network('single', one(block.name, block.op))
        assert list(residual_scales(single)) == numbers


def test_a_network_shows_itself():
    assert str(SMALL) == table(SMALL)
    assert repr(SMALL) == "Network('small', 10 classes, 32x32, 3,146 parameters)"
    assert SMALL._repr_svg_() == draw(SMALL)


def test_a_network_of_one_class_says_class():
    net = dataclasses.replace(SMALL, classes=1)
    assert repr(net).startswith("Network('small', 1 class, 32x32")
    assert str(net).startswith('small: 32x32x3, 1 class, ')


def test_a_network_that_does_not_fit_together_shows_what_is_wrong():
    net = dataclasses.replace(load('inception_v4'), input_size=32)
    assert repr(net) == "Network('inception_v4', 1000 classes, 32x32)"
    assert str(net) == (
        f'{net!r}: input size 32 is too small for inception_v4; use at least 75'
    )


def test_a_notebook_shows_a_network_that_does_not_fit_together_as_a_line():
    net = network('bad', stage('a', 1, Residual(conv(4), scale=0.1)), input_size=8)
    assert net._repr_svg_() is None
    assert pretty_text(net) == str(net)
    assert 'in block a_1, a residual branch' in str(net)
    assert pretty_text(SMALL) == repr(SMALL)


def pretty_text(value):
    """Returns the text of a value in a notebook, with IPython's printer faked."""
    parts = []
    value._repr_pretty_(types.SimpleNamespace(text=parts.append), False)
    return ''.join(parts)


def test_blocks_and_stages_show_their_notation():
    body = SMALL.stages[1]
    line = 'relu(x + 0.1 * ([1x1/4; 3x3/4] -> 1x1/linear))'
    assert str(body.blocks[0]) == line
    assert str(body) == f'a_1..a_2  {line}'
    assert repr(body) == "Stage('a', 2 blocks)"
    assert str(list(trunk(SMALL))[2]) == f'a_2  {line}'


def test_the_repr_of_an_op_is_exact():
    from inception_jax.networks.ops import Chain, Concat, Conv, Pool, Residual

    names = {c.__name__: c for c in (Chain, Concat, Conv, Pool, Residual)}
    op = load('inception_resnet_v2').stages[1].blocks[0]
    assert eval(repr(op), names) == op


def test_a_difference_shows_itself_and_is_a_text():
    difference = diff(SMALL, dataclasses.replace(SMALL, classes=5))
    assert repr(difference) == str(difference)
    assert 'classes   10  5' in difference.splitlines()


MODULES = [
    module.name
    for module in pkgutil.walk_packages(
        inception_jax.networks.__path__, 'inception_jax.networks.'
    )
]


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_networks_need_neither_jax_nor_numpy():
    code = (
        'import sys; from inception_jax.networks import *;'
        'net = load("inception_resnet_v1"); print(net, repr(net), net._repr_svg_(),'
        'diff(net, scaled(net, width=0.5)));'
        'print(*{"jax", "numpy", "flax"} & set(sys.modules), file=sys.stderr)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ''


@dataclasses.dataclass
class Unhashable:
    """A maker of modules that compares by value, and therefore has no hash."""

    heads: int

    def __call__(self): ...


def test_an_object_without_a_hash_is_measured_printed_and_drawn():
    module = Module(Unhashable(3), params=lambda shape: 1, macs=lambda shape: 2)
    net = network('net', one('stem', conv(8, 3, 2)), stage('a', 2, module))
    assert repr(net).endswith(' parameters)')
    assert [block.name for block in measure(net)] == ['stem', 'a_1', 'a_2', 'logits']
    assert 'a_1..a_2  ' in str(net)
    assert draw(net).startswith('<svg')
    assert diff(net, dataclasses.replace(net, classes=5))


def test_the_repr_of_a_network_survives_an_error_in_the_code_of_the_user():
    module = Module(Unhashable(3), params=lambda shape: 1 / 0, macs=lambda shape: 2)
    net = network('net', one('a', module))
    assert repr(net) == "Network('net', 1000 classes, 299x299)"
    assert str(net).endswith(': division by zero')
