"""Folded networks: what they are made of, and that they compute the same."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from helpers import tiny
from helpers.variables import SHIFT, random_variables, shapes

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks import (
    RULES,
    Norm,
    Relu,
    Residual,
    Scale,
    chain,
    concat,
    conv,
    expand,
    folded,
    max_pool,
    network,
    one,
    residual,
)
from inception_jax.networks.describe.diff import diff
from inception_jax.networks.describe.notation import notation
from inception_jax.networks.describe.table import summary, table
from inception_jax.networks.figures.figure import draw
from inception_jax.networks.mean_squares import added_scales
from inception_jax.networks.network import fingerprint, residual_scales
from inception_jax.networks.ops import Conv, residuals
from inception_jax.networks.rules import apply_rule, extra_batch_norm
from inception_jax.networks.shapes import measure
from inception_jax.weights.folding import fold


@functools.cache
def applied(net):
    @jax.jit
    def apply(variables, images, scales):
        return Classifier(net, 0.9).apply(
            variables,
            images,
            train=False,
            residual_scale=scales,
            mutable=['intermediates'],
        )

    return apply


def computed(net, variables, scales=None):
    """Returns logits and the outputs of the blocks, for the same three images."""
    generator = np.random.default_rng(1)
    side = net.input_size
    images = generator.uniform(-1, 1, (3, side, side, 3)).astype(np.float32)
    scales = residual_scales(net) if scales is None else scales
    outputs, left = applied(net)(variables, images, np.array(scales, np.float32))
    blocks = {name: x['output'][0] for name, x in left['intermediates'].items()}
    blocks.pop('auxiliary', None)
    return {'logits': outputs.logits} | blocks


def check(net, scales=None):
    """Asserts that a network and its folded one compute the same in every block."""
    variables = random_variables(net)
    new, new_variables = folded(net, scales), fold(net, variables, scales)
    like = initial_variables(new, seed=0, scheme='he')
    assert shapes(new_variables) == shapes(like)
    plain, other = computed(net, variables, scales), computed(new, new_variables)
    assert plain.keys() == other.keys()
    for name, x in plain.items():
        largest = np.abs(x).max()
        assert largest > 0, name
        np.testing.assert_allclose(
            other[name], x, rtol=0, atol=1e-5 * largest, err_msg=name
        )


NAMES = (
    'inception_v3_torchvision',
    'inception_v4',
    'inception_resnet_v2_slim',
    'inception_resnet_v1',
)


@pytest.mark.parametrize('name', NAMES)
def test_every_block_computes_what_it_did(name, small):
    net = small(name)
    check(net)
    assert not any(
        leaf.batch_norm_channels for b in measure(folded(net)) for leaf in b.leaves
    )


def test_gammas_are_folded(small):
    check(dataclasses.replace(small('inception_resnet_v2'), batch_norm_gamma=True))


@pytest.mark.parametrize('scale', [0.0, 0.1, 1.0, 'each its own'])
def test_any_residual_scales_are_folded(scale, small):
    net = small('inception_resnet_v2')
    count = len(residual_scales(net))
    each = [0.1 * (i + 1) for i in range(count)]
    check(net, each if scale == 'each its own' else count * [scale])


@pytest.mark.parametrize('rule', RULES)
def test_networks_of_the_rules_are_folded(rule):
    check(apply_rule(rule, tiny.NET))


def test_a_batch_norm_that_follows_no_convolution_stays():
    net = extra_batch_norm(tiny.NET)
    check(net)
    ops = [leaf.op for block in measure(folded(net)) for leaf in block.leaves]
    assert [op for op in ops if isinstance(op, Norm)] == [Norm(relu=True)]


LINEAR = functools.partial(conv, linear=True)
BRANCHES = {
    'linear': (LINEAR(8, 3), 1.0),
    'two in a row': (chain(LINEAR(4), Relu(), expand()), 1.0),
    'a concatenation': (concat(LINEAR(3), chain(conv(4, 3), LINEAR(5))), 1.0),
    'chains in chains': (chain(conv(4), chain(chain(conv(4), expand()))), 1.0),
    'a convolution with ReLU': (conv(8, 3), 0.3),
    'a branch without ops beside': (concat(chain(), LINEAR(8)), 0.3),
    'nothing': (chain(), 0.3),
    'norm': (chain(conv(4), expand(), Norm(relu=False)), 0.3),
    'scale': (chain(conv(4), expand(), Scale(0.5, per_channel=True)), 0.3),
    'module': (chain(conv(4), expand(), SHIFT), 0.3),
    'pool': (chain(expand(), max_pool(3, 1, 'SAME')), 0.3),
    'a sum': (chain(expand(), Residual(expand(), 0.5, relu=False)), 0.3),
}


def branched(branch):
    if branch == BRANCHES['a branch without ops beside'][0]:
        branch = chain(branch, Norm(relu=True), conv(8))
    return network(
        'branched',
        one('stem', chain(LINEAR(4, 3, 2), LINEAR(8, 3))),
        one('a', Residual(branch, 0.3)),
        one('b', chain(Residual(branch, 0.3, relu=False), Norm(relu=True))),
        classes=10,
        input_size=12,
        batch_norm_gamma=True,
    )


@pytest.mark.parametrize('name', BRANCHES)
def test_a_scale_goes_into_the_branch_only_where_that_is_exact(name):
    branch, scale = BRANCHES[name]
    net = branched(branch)
    for scales in (None, [0.7 - 0.1 * i for i in range(len(residual_scales(net)))]):
        check(net, scales)
    assert [residuals(b.op)[-1].scale for b in measure(folded(net))[1:3]] == 2 * [scale]


def test_a_folded_network_folds_to_itself():
    once = folded(tiny.NET)
    again = folded(once)
    assert again.stages == once.stages
    variables = fold(tiny.NET, random_variables(tiny.NET))
    jax.tree.map(np.testing.assert_array_equal, fold(once, variables), variables)


def test_every_reading_knows_folded_networks(small):
    net = small('inception_resnet_v2')
    new = folded(net)
    assert notation(folded(tiny.NET).stages[0].blocks[0]) == (
        '3x3/8 linear s2 -> relu -> 3x3/16 linear -> relu'
    )
    assert ' -> relu' in table(new)
    counts = summary(net)['without_auxiliary']
    assert summary(new)['macs'] == counts['macs']
    assert summary(new)['params'] == summary(new)['params_with_gamma']
    assert summary(new)['params'] == counts['params']
    assert draw(new).count('Relu activation') > draw(net).count('Relu activation')
    assert ' -> relu' in diff(net, new)
    assert fingerprint(new) != fingerprint(net)
    assert len(added_scales(new, alpha=0.2)) == len(residual_scales(net))


def test_folding_drops_the_auxiliary_head(small):
    net = small('inception_v3')
    assert net.auxiliary
    assert not folded(net).auxiliary
    assert 'auxiliary' not in fold(net, random_variables(net))['params']


def test_batch_norm_goes_into_the_convolution_before_it():
    net = network('one', one('stem', conv(1, 1)), input_size=1, batch_norm_epsilon=1.0)
    params = {'kernel': np.ones((1, 1, 3, 1)), 'bn': {'bias': np.array([5.0])}}
    statistics = {'bn': {'mean': np.array([4.0]), 'var': np.array([3.0])}}
    variables = {
        'params': {'stem': {'conv0': params}},
        'batch_stats': {'stem': {'conv0': statistics}},
    }
    variables['params']['logits'] = {
        'dense0': {'kernel': np.ones((1, 1000)), 'bias': np.zeros(1000)}
    }
    linear = fold(net, variables)['params']['stem']['linear0']
    assert linear['kernel'].ravel().tolist() == 3 * [0.5]
    assert linear['bias'].tolist() == [3.0]
    assert isinstance(folded(net).stages[0].blocks[0].ops[0], Conv)


def test_there_is_one_scale_for_each_residual_block():
    for change in (folded, lambda net, scales: fold(net, {}, scales)):
        with pytest.raises(ValueError, match='1 residual scales for tiny; '):
            change(tiny.NET, [0.1])


def test_a_folded_block_has_only_linear_convolutions():
    block = residual(conv(4), chain(conv(4), conv(4, 3)), scale=0.2)
    new = folded(network('n', one('stem', conv(8)), one('a', block)))
    names = [leaf.name for leaf in measure(new)[1].leaves]
    assert names == [
        'branch0_linear0',
        'branch0_relu0',
        'branch1_linear0',
        'branch1_relu0',
        'branch1_linear1',
        'branch1_relu1',
        'linear0',
    ]
