"""The walk over ops, and the values that it walks over."""

import dataclasses
import subprocess
import sys

import pytest

from inception_jax.networks import (
    Auxiliary,
    Pool,
    chain,
    concat,
    conv,
    expand,
    load,
    map_network,
    map_ops,
    network,
    one,
    residual,
    scaled,
    stage,
)
from inception_jax.networks.network import fingerprint, residual_scales, trunk
from inception_jax.networks.ops import (
    Conv,
    Dropout,
    Norm,
    Residual,
    Scale,
    interpret,
)
from inception_jax.networks.shapes import least_input_size, measure


class Names:
    """A reading that keeps the names of leaves; its values are all 0."""

    def __init__(self):
        self.names = []

    def width(self, x):
        return 1

    def leaf(self, name, op, x):
        self.names.append(name)
        return 0

    def concat(self, xs):
        return 0

    def add(self, op, x, branch):
        return 0


def names(op):
    reading = Names()
    interpret(op, 0, reading)
    return reading.names


def test_a_leaf_is_the_nth_of_its_kind_in_its_branch():
    op = chain(conv(1), concat(conv(1), chain(conv(1), conv(1, 3))), conv(1))
    assert names(op) == [
        'conv0',
        'branch0_conv0',
        'branch1_conv0',
        'branch1_conv1',
        'conv1',
    ]


def test_wrapping_in_a_chain_or_a_residual_renames_nothing():
    op = concat(conv(1), chain(conv(1), conv(1, 3)))
    wrapped = Residual(chain(chain(op), expand()), scale=0.1)
    assert names(wrapped) == [*names(op), 'linear0']


def test_learned_scales_and_norms_are_leaves_of_their_own_kind():
    op = Residual(chain(conv(1), expand(), Scale(0.0, per_channel=False)), 1.0)
    assert names(chain(op, Norm(relu=True), op, Norm(relu=False))) == [
        *('conv0', 'linear0', 'scale0', 'norm0'),
        *('conv1', 'linear1', 'scale1', 'norm1'),
    ]


def test_learned_scales_and_norms_are_counted():
    value = network(
        'n', one('a', chain(conv(8), Scale(0.0, True), Scale(1, False), Norm(True)))
    )
    leaves = measure(value)[0].leaves[1:]
    assert [leaf.params for leaf in leaves] == [8, 1, 8]
    assert [leaf.batch_norm_channels for leaf in leaves] == [0, 0, 8]
    assert {(leaf.macs, leaf.layers, leaf.output[2]) for leaf in leaves} == {(0, 0, 8)}


def test_leaf_names_are_unique_in_every_block_of_every_network(networks):
    for net in networks:
        for block in measure(net):
            leaves = [leaf.name for leaf in block.leaves]
            assert len(set(leaves)) == len(leaves), (net.name, block.name)


def test_the_expansion_takes_the_width_of_its_trunk():
    widths = {
        leaf.output[2]
        for block in measure(load('inception_resnet_v2'))
        for leaf in block.leaves
        if isinstance(leaf.op, Conv) and leaf.op.linear
    }
    assert widths == {384, 1152, 2144}


def test_an_expansion_outside_a_residual_is_refused():
    with pytest.raises(ValueError, match='outside any residual branch'):
        names(expand())


def test_a_branch_that_does_not_fit_its_trunk_is_refused():
    odd = map_network(
        lambda op: Residual(conv(7), 0.1) if isinstance(op, Residual) else op,
        load('inception_resnet_v1'),
    )
    with pytest.raises(ValueError, match=r'end the branch with ij\.expand\(\)'):
        measure(odd)


def test_a_misfit_names_the_network_the_block_and_the_sizes_of_its_input():
    body = stage('a', 2, Residual(conv(4, 3), scale=0.1))
    bad = network('bad', one('stem', conv(8, 3, 2)), body, input_size=32)
    message = (
        'bad does not fit together with images of 32x32: in block a_1, a residual '
        'branch has the output 16x16x4, and its trunk is 16x16x8; end'
    )
    with pytest.raises(ValueError, match=message):
        measure(bad)
    strided = network('bad', stage('a', 1, residual(conv(4, 3, 2), scale=0.1)))
    with pytest.raises(ValueError, match='keep strides and VALID windows out of'):
        measure(strided)


def test_map_ops_reaches_every_op_and_leaves_the_original():
    op = residual(conv(4), chain(conv(4), conv(8, 3)), scale=0.1)
    doubled = map_ops(
        lambda o: (
            dataclasses.replace(o, filters=2 * o.filters)
            if isinstance(o, Conv) and o.filters
            else o
        ),
        op,
    )
    assert doubled == residual(conv(8), chain(conv(8), conv(16, 3)), scale=0.1)
    assert op == residual(conv(4), chain(conv(4), conv(8, 3)), scale=0.1)


def test_scaled_changes_width_and_depth_by_stage():
    smaller = scaled(load('inception_resnet_v1'), width={'c': 0.5}, depth={'b': 0.3})
    names = [block.name for block in trunk(smaller) if block.stage == 'b']
    assert names == ['b_1', 'b_2', 'b_3']
    before, after = measure(load('inception_resnet_v1')), measure(smaller)
    assert after[0] == before[0]
    assert after[-2].leaves[0].output[2] == 96
    assert after[-2].output == before[-2].output


def test_scaled_refuses_a_stage_that_is_not_there():
    with pytest.raises(ValueError, match="no stage 'd'"):
        scaled(load('inception_v4'), width={'d': 2.0})


def test_depth_beyond_one_repeats_the_last_block():
    deeper = scaled(load('inception_v3'), depth=2)
    blocks = {b.name: b.op for b in trunk(deeper)}
    assert blocks['a_6'] == blocks['a_3'] != blocks['a_1']


def test_names_that_clash_or_lead_nowhere_are_refused():
    stages = load('inception_v4').stages
    with pytest.raises(ValueError, match='two parts called stem'):
        network('twice', *stages, stages[0])
    with pytest.raises(ValueError, match='two parts called logits'):
        network('logits', one('logits', conv(8)))
    with pytest.raises(ValueError, match='after d; expected one of stem, a'):
        network('lost', *stages, auxiliary=Auxiliary('d', conv(8)))


def test_least_input_size_is_75_for_all_and_is_named_when_missed(networks):
    for net in networks:
        assert least_input_size(net) == 75
        with pytest.raises(ValueError, match='use at least 75'):
            measure(dataclasses.replace(net, input_size=74))


def test_fingerprints_distinguish_networks(networks):
    prints = [fingerprint(net) for net in networks]
    assert len(set(prints)) == len(prints)
    assert fingerprint(load('inception_v4')) == prints[1]


def test_a_field_at_its_default_does_not_change_a_fingerprint():
    value = load('inception_v4')
    fields = [(f.name, f.type, f) for f in dataclasses.fields(value)]
    later = dataclasses.make_dataclass(
        'Network', [*fields, ('dilation', int, dataclasses.field(default=1))]
    )
    values = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    assert fingerprint(later(**values)) == fingerprint(value)
    assert fingerprint(later(**values, dilation=2)) != fingerprint(value)


def test_a_fingerprint_is_the_same_in_every_process():
    program = (
        'import math; from inception_jax.networks import *;'
        'from inception_jax.networks.network import fingerprint, network;'
        'module = Module(math.floor, params=math.ceil, macs=lambda shape: 1);'
        'print(fingerprint(network("net", one("stem", chain(conv(4), module)))))'
    )
    prints = {
        subprocess.run(
            [sys.executable, '-c', program], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(prints) == 1
    assert len(prints.pop().strip()) == 12


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: conv(0), 'filters 0'),
        (lambda: conv(8, 3, 1, 'same'), "padding 'same'"),
        (lambda: conv(8, 3, 0), 'stride 0'),
        (lambda: conv(8, (3, 3, 3)), 'expected a side or'),
        (lambda: Pool('median', (3, 3), 1, 'SAME'), "kind 'median'"),
        (lambda: concat(), 'has no branches'),
        (lambda: Scale(float('nan'), per_channel=True), 'starts at nan'),
        (lambda: network('none'), 'has no stages'),
        (lambda: network('slash', one('a/b', conv(8))), "'a/b' cannot name"),
        (
            lambda: network('x', one('a_1', conv(8)), stage('a', 1, conv(8))),
            'two parts',
        ),
        (lambda: network('x', one('a', Dropout(0.5))), 'Dropout in the trunk'),
        (
            lambda: network('x', one('a', conv(8)), classes='ten'),
            "classes of x is 'ten'",
        ),
        (lambda: scaled(load('inception_v4'), width=float('inf')), 'of inf'),
    ],
)
def test_ops_and_networks_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_residual_scales_are_those_released():
    assert residual_scales(load('inception_resnet_v2_slim')) == (
        *10 * [0.17],
        *20 * [0.10],
        *9 * [0.20],
        1.0,
    )


def test_an_unknown_network_names_near_ones():
    with pytest.raises(ValueError, match='did you mean inception_v4'):
        load('inception_v5')


def test_an_import_path_must_lead_to_a_network():
    assert load('inception_jax.networks.paper:INCEPTION_V4') == load('inception_v4')
    with pytest.raises(ValueError, match='expected a Network'):
        load('inception_jax.networks.paper:stem_v4')
    with pytest.raises(ValueError, match='cannot load network'):
        load('no_such_module:NET')
