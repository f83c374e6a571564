"""The summary and the table of a network, against the published numbers."""

import dataclasses
import json

import pytest

from inception_jax.networks import (
    NETWORKS,
    concat,
    conv,
    load,
    network,
    one,
    residual,
    stage,
)
from inception_jax.networks.describe.table import summary, table
from inception_jax.networks.ops import Residual

# Parameters without and with gamma, multiply-adds in G, convolutions and dense layers.
TOTALS = {
    'inception_v3': (27_143_152, 27_161_264, 5.719, 98),
    'inception_v4': (42_648_232, 42_679_816, 12.254, 150),
    'inception_resnet_v1': (22_742_808, 22_756_328, 6.206, 128),
    'inception_resnet_v2': (32_417_496, 32_433_928, 9.258, 133),
    'inception_v4_slim': (46_006_800, 46_039_280, 12.260, 153),
    'inception_resnet_v2_slim': (59_179_952, 59_211_120, 13.163, 248),
    'inception_resnet_v1_facenet': (24_342_808, 24_357_096, 6.309, 133),
    'inception_v3_torchvision': (27_161_264, 27_161_264, 5.719, 98),
}
WITHOUT_AUXILIARY = {
    'inception_v3': (23_817_352, 23_834_568, 5.713, 95),
    'inception_v4_slim': (42_648_232, 42_679_816, 12.254, 150),
    'inception_resnet_v2_slim': (55_813_192, 55_843_464, 13.156, 245),
    'inception_v3_torchvision': (23_834_568, 23_834_568, 5.713, 95),
}
# Parameters without gamma and multiply-adds in M of one block.
BLOCKS = {
    'inception_v4': {
        'stem': (604_864, 2289.9),
        'a_1': (317_024, 387.6),
        'reduction_a': (2_305_056, 1097.2),
        'b_7': (2_933_984, 847.3),
        'reduction_b': (2_745_856, 511.1),
        'c_3': (4_549_824, 291.0),
    },
    'inception_resnet_v1': {
        'stem': (614_896, 1882.7),
        'a_5': (77_248, 94.1),
        'reduction_a': (1_709_056, 850.2),
        'b_10': (689_536, 198.9),
        'reduction_b': (3_344_256, 501.4),
        'c_5': (1_600_000, 102.2),
    },
    'inception_resnet_v2': {
        'stem': (604_864, 2289.9),
        'a_1': (137_328, 167.5),
        'reduction_a': (2_901_248, 1482.2),
        'b_1': (1_171_232, 338.0),
        'reduction_b': (3_928_064, 599.6),
        'c_1': (2_087_872, 133.4),
    },
    'inception_resnet_v2_slim': {
        'a_10': (122_928, 149.9),
        'reduction_a': (2_663_680, 1398.2),
        'b_20': (1_126_112, 324.9),
        'reduction_b': (3_878_912, 585.4),
        'c_last': (2_034_560, 130.0),
    },
    'inception_v4_slim': {'auxiliary': (3_358_568, 6.5)},
}
# Output of every stage, Figs. 9 and 15; widths of -ResNet-v2 are what its sums need.
OUTPUTS = {
    'inception_v4': [
        ('stem', [35, 35, 384]),
        ('a', [35, 35, 384]),
        ('reduction_a', [17, 17, 1024]),
        ('b', [17, 17, 1024]),
        ('reduction_b', [8, 8, 1536]),
        ('c', [8, 8, 1536]),
        ('logits', [1, 1, 1000]),
    ],
    'inception_resnet_v1': [
        ('stem', [35, 35, 256]),
        ('a', [35, 35, 256]),
        ('reduction_a', [17, 17, 896]),
        ('b', [17, 17, 896]),
        ('reduction_b', [8, 8, 1792]),
        ('c', [8, 8, 1792]),
        ('logits', [1, 1, 1000]),
    ],
    'inception_resnet_v2': [
        ('stem', [35, 35, 384]),
        ('a', [35, 35, 384]),
        ('reduction_a', [17, 17, 1152]),
        ('b', [17, 17, 1152]),
        ('reduction_b', [8, 8, 2144]),
        ('c', [8, 8, 2144]),
        ('logits', [1, 1, 1000]),
    ],
}


def blocks_of(name):
    return {block['name']: block for block in summary(load(name))['blocks']}


def numbers(totals):
    giga = round(totals['macs'] / 1e9, 3)
    return totals['params'], totals['params_with_gamma'], giga, totals['layers']


@pytest.mark.parametrize('name', NETWORKS)
def test_totals_are_those_of_the_specification(name):
    params, gamma, giga, layers = numbers(summary(load(name)))
    assert (params, gamma, layers) == (TOTALS[name][:2] + TOTALS[name][3:])
    assert giga == pytest.approx(TOTALS[name][2], abs=6e-4)


@pytest.mark.parametrize('name', NETWORKS)
def test_totals_without_auxiliary_head(name):
    params, gamma, giga, layers = numbers(summary(load(name))['without_auxiliary'])
    expected = WITHOUT_AUXILIARY.get(name, TOTALS[name])
    assert (params, gamma, layers) == (expected[:2] + expected[3:])
    assert giga == pytest.approx(expected[2], abs=6e-4)


@pytest.mark.parametrize('name', BLOCKS)
def test_blocks_have_the_counts_of_the_specification(name):
    blocks = blocks_of(name)
    for block, (params, macs) in BLOCKS[name].items():
        assert blocks[block]['params'] == params
        assert blocks[block]['macs'] / 1e6 == pytest.approx(macs, abs=0.05)


@pytest.mark.parametrize('name', OUTPUTS)
def test_grids_are_those_of_figures_9_and_15(name):
    outputs = {b['stage']: b['output'] for b in summary(load(name))['blocks']}
    assert list(outputs.items()) == OUTPUTS[name]


@pytest.mark.parametrize('name', NETWORKS)
def test_summary_keeps_the_contract_and_is_json(name):
    described = summary(load(name))
    assert list(described) == [
        *('name', 'input', 'blocks', 'params', 'params_with_gamma', 'macs', 'layers'),
        'without_auxiliary',
    ]
    expected = {'name', 'stage', 'output', 'scale', 'params', 'macs'}
    assert all(set(block) == expected for block in described['blocks'])
    assert described['input'] == [299, 299, 3]
    assert json.loads(json.dumps(described)) == described


@pytest.mark.parametrize('name', NETWORKS)
def test_totals_are_the_sums_of_the_blocks(name):
    described = summary(load(name))
    for key in ('params', 'macs'):
        assert described[key] == sum(block[key] for block in described['blocks'])


def test_params_count_gamma_only_in_networks_that_have_it():
    value = load('inception_v3')
    described = summary(dataclasses.replace(value, batch_norm_gamma=True))
    assert described['params'] == described['params_with_gamma'] == 27_161_264
    assert described['without_auxiliary']['params'] == 23_834_568
    assert sum(block['params'] for block in described['blocks']) == 27_161_264


def test_scale_is_a_number_a_list_or_null():
    inner = residual(conv(2), scale=0.5)
    blocks = summary(network('n', one('p', conv(4)), one('q', Residual(inner, 0.25))))
    scales = [block['scale'] for block in blocks['blocks']]
    assert scales == [None, [0.5, 0.25], None]
    assert blocks_of('inception_resnet_v1')['b_3']['scale'] == 0.10


@pytest.mark.parametrize('name', NETWORKS)
def test_table_fits_100_columns_and_holds_the_totals(name):
    text = table(load(name))
    assert max(map(len, text.splitlines())) <= 100
    for total in (*TOTALS[name][:2], *WITHOUT_AUXILIARY.get(name, ())[:2]):
        assert f'{total:,}' in text
    assert 'least input 75x75' in text


def row_of(text, name):
    return next(line for line in text.splitlines() if line.startswith(f'{name} '))


def test_table_groups_equal_blocks_with_each_and_sum():
    row = row_of(table(load('inception_resnet_v2')), 'a_1..a_5').split()
    numbers = ['137,328', '686,640', '167.5', '837.3']
    assert row == ['a_1..a_5', '35x35', '384', '0.17', '35', *numbers]


def test_table_keeps_unequal_blocks_of_a_stage_apart():
    rows = [
        line.split()[0] for line in table(load('inception_v3')).splitlines() if line
    ]
    assert rows[2:10] == [
        *('stem', 'a_1', 'a_2', 'a_3', 'reduction_a', 'b_1', 'b_2..b_3', 'b_4'),
    ]


def test_equal_ops_in_turn_are_not_neighbours():
    blocks = concat(conv(2), conv(2)), conv(4)
    text = table(network('n', stage('s', 2, *blocks)))
    assert row_of(text, 's_1, s_3').endswith('[1x1/2; 1x1/2]')
    assert [row_of(text, f's_{i}').split()[2] for i in (1, 2, 3, 4)] == ['4'] * 4
