"""Residual rules and the extra batch norm: what they change, and what they leave."""

import dataclasses
import inspect
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers.tiny import NET, PLAIN

from inception_jax.networks import (
    RULES,
    Norm,
    Residual,
    Scale,
    chain,
    choose,
    conv,
    load,
    map_network,
    network,
    one,
    residual,
    stage,
)
from inception_jax.networks.describe.diff import diff
from inception_jax.networks.describe.table import summary, table
from inception_jax.networks.figures.figure import draw
from inception_jax.networks.network import (
    fingerprint,
    program,
    residual_scales,
    trunk,
)
from inception_jax.networks.ops import Conv
from inception_jax.networks.rules import apply_rule, extra_batch_norm, with_scales
from inception_jax.networks.shapes import measure

RULED = {name: apply_rule(name, NET) for name in RULES}
V1 = load('inception_resnet_v1')
every_rule = pytest.mark.parametrize('rule', RULES)
# Inception-ResNet-v1: 5, 10 and 5 blocks on 256, 896 and 1792 channels.
PARAMS = dict.fromkeys(RULES, 22_742_808) | {
    'skip_init': 22_742_808 + 20,
    'learned_scale': 22_742_808 + 20,
    'layer_scale': 22_742_808 + 5 * 256 + 10 * 896 + 5 * 1792,
}


def trunk_ops(net):
    return [block.op for block in trunk(net)]


# Counts, tables and drawings.


@every_rule
def test_parameters_are_those_of_the_rule_and_the_cost_stays(rule):
    plain = summary(load('inception_resnet_v1'))
    ruled = summary(choose('inception_resnet_v1', rule=rule))
    assert ruled['params'] == PARAMS[rule]
    assert ruled['macs'] == plain['macs']
    assert ruled['layers'] == plain['layers'] == 128


@every_rule
@pytest.mark.parametrize('name', ['inception_resnet_v1', 'inception_resnet_v2_slim'])
def test_a_network_under_a_rule_is_described_drawn_and_compared(rule, name):
    plain, ruled = load(name), choose(name, rule=rule)
    assert [b.output for b in measure(ruled)] == [b.output for b in measure(plain)]
    assert max(map(len, table(ruled).splitlines())) <= 100
    assert diff(plain, ruled).endswith('are equal') == (rule == 'constant')
    ElementTree.fromstring(draw(ruled))


def test_the_table_and_the_drawing_say_what_is_learned():
    ruled = choose('inception_resnet_v1', rule='layer_scale', extra_batch_norm=True)
    assert '-> 1x1/linear\n' in table(ruled)
    assert '-> learned 1e-05 per channel)) -> batch norm relu' in table(ruled)
    drawn = draw(ruled, 'c_5')
    assert drawn.count('Learned scale') == drawn.count('Batch norm<') == 1
    assert drawn.count('(from 1e-05 per channel)') == 1
    assert drawn.count('Relu activation') == 2
    assert '0.4472' in table(choose('inception_resnet_v1', rule='inverse_sqrt'))
    assert 'Inception-A' in draw(choose('inception_resnet_v1', rule='non_residual'))


def test_a_rule_adds_one_leaf_to_the_diff():
    (block,) = [
        part
        for part in diff(NET, RULED['skip_init']).split('\n\n')
        if part.startswith('a_1..a_2')
    ]
    assert block.splitlines()[1:] == [
        '  - scale 0.2',
        '  + scale 1.0',
        '    [1x1/4; 1x1/4 -> 3x3/4] -> 1x1/linear',
        '  + learned 0.0',
    ]
    text = diff(RULED['skip_init'], RULED['learned_scale'])
    assert 'a_1..a_2: other initial values' in text


# Constant scales under a rule.


def test_inverse_sqrt_counts_the_sums_between_reductions():
    assert residual_scales(choose('inception_resnet_v1', rule='inverse_sqrt')) == (
        *5 * [1 / math.sqrt(5)],
        *10 * [1 / math.sqrt(10)],
        *5 * [1 / math.sqrt(5)],
    )
    released = choose('inception_resnet_v2_slim', rule='inverse_sqrt')
    assert residual_scales(released)[-10:] == tuple(10 * [1 / math.sqrt(10)])


@pytest.mark.parametrize(('depth', 'initial'), [(18, 0.1), (24, 1e-5), (25, 1e-6)])
def test_layer_scale_starts_lower_in_deeper_networks(depth, initial):
    block = residual(conv(4), scale=0.2)
    deep = network('deep', one('stem', conv(8)), stage('a', depth, block))
    first = trunk_ops(apply_rule('layer_scale', deep))[1]
    assert first.branch.ops[-1] == Scale(initial, per_channel=True)


def test_normalizer_free_scales_follow_the_size_of_the_trunk():
    scales = residual_scales(choose('inception_resnet_v1', rule='normalizer_free'))
    assert scales[:5] == pytest.approx(5 * [0.2 * math.sqrt(0.5)])
    # The trunk's 256 channels after five blocks, enlarged by the max pool, and 640
    # fresh ones.
    pooled = 0.5 * (1 + 5 * 0.2**2) * (1 + math.log2(9))
    start = (256 * pooled + 640 * 0.5) / 896
    assert scales[5:15] == pytest.approx(10 * [0.2 * math.sqrt(start)])


def test_the_non_residual_network_has_ordinary_convolutions_alone():
    plain = choose('inception_resnet_v2', rule='non_residual')
    assert residual_scales(plain) == ()
    leaves = [leaf for block in measure(plain) for leaf in block.leaves]
    convolutions = [leaf.op for leaf in leaves if isinstance(leaf.op, Conv)]
    assert len(convolutions) == 132
    assert not any(op.linear or op.filters is None for op in convolutions)
    assert trunk_ops(plain)[1].ops[-1] == conv(384)


@pytest.mark.parametrize(
    ('scales', 'expected'),
    [
        (0.3, 20 * (0.3,)),
        (np.float32(0.5), 20 * (0.5,)),
        (np.arange(20), (*map(float, range(20)),)),
        ({'a': 0.3, 'c': 1}, (*5 * (0.3,), *residual_scales(V1)[5:15], *5 * (1.0,))),
    ],
)
def test_scales_are_one_number_or_numbers_by_block_or_stage(scales, expected):
    assert residual_scales(with_scales(V1, scales)) == expected


@pytest.mark.parametrize(
    ('scales', 'message'),
    [
        (
            [0.1] * 99,
            '99 residual scales for .*; give one number, one for each of its 20',
        ),
        ({'z': 0.1}, "no stage 'z' of .* the stages with residual blocks are a, b, c"),
        ('x', "residual scales 'x' for .*; expected numbers"),
    ],
)
def test_scales_that_do_not_fit_the_network_are_refused(scales, message):
    with pytest.raises(ValueError, match=message):
        with_scales(V1, scales)
    with pytest.raises(ValueError, match='1 residual scales for inception_v4'):
        with_scales(load('inception_v4'), 0.3)


def test_zero_init_needs_a_linear_convolution():
    odd = map_network(
        lambda op: Residual(conv(16), 0.2) if isinstance(op, Residual) else op, NET
    )
    with pytest.raises(ValueError, match=r'end it with ij\.expand'):
        apply_rule('zero_init', odd)
    assert trunk_ops(apply_rule('skip_init', odd))[1].branch == chain(
        conv(16), Scale(0.0, per_channel=False)
    )


# The extra batch norm.


def test_the_extra_batch_norm_has_a_relu_where_the_sum_had_one():
    last = [
        trunk_ops(choose(name, extra_batch_norm=True))[-1].ops[-1]
        for name in ('inception_resnet_v1', 'inception_resnet_v1_facenet')
    ]
    assert last == [Norm(relu=True), Norm(relu=False)]


@pytest.mark.parametrize('name', ['inception_v4', 'inception_resnet_v2_slim'])
def test_the_extra_batch_norm_needs_a_sum_at_the_end(name):
    with pytest.raises(ValueError, match='does not end in a residual sum'):
        choose(name, extra_batch_norm=True)


# The choice of a rule, and the compiled program.


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match='did you mean skip_init'):
        choose('inception_resnet_v1', rule='skipinit')
    with pytest.raises(ValueError, match='inception_v4 has no residual blocks'):
        choose('inception_v4', rule='constant')
    with pytest.raises(ValueError, match='has no residual blocks'):
        apply_rule('non_residual', PLAIN)


def test_choose_applies_rules_to_the_scaled_network():
    net = choose('inception_resnet_v1', depth=0.2, rule='inverse_sqrt')
    assert residual_scales(net) == (1.0, *2 * [1 / math.sqrt(2)], 1.0)
    annotations = {
        name: parameter.annotation
        for name, parameter in inspect.signature(choose).parameters.items()
    }
    assert annotations['rule'] == str | None
    assert annotations['extra_batch_norm'] is bool


def test_relatives_that_differ_in_arguments_alone_share_a_program():
    same = ('constant', 'zero_init', 'inverse_sqrt', 'normalizer_free')
    assert len({program(RULED[rule]) for rule in same}) == 1
    assert program(RULED['skip_init']) == program(RULED['learned_scale'])
    others = ('constant', 'skip_init', 'layer_scale', 'non_residual')
    assert len({program(RULED[rule]) for rule in others}) == 4
    renamed = dataclasses.replace(NET, name='other', dropout=0.5)
    assert program(renamed) == program(NET)
    assert program(dataclasses.replace(NET, classes=11)) != program(NET)
    assert program(extra_batch_norm(NET)) != program(NET)


@every_rule
def test_fingerprints_distinguish_rules(rule):
    same = [
        name for name in RULES if fingerprint(RULED[name]) == fingerprint(RULED[rule])
    ]
    assert same == [rule]
