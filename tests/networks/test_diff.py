"""The difference of two networks."""

import dataclasses

import pytest

from inception_jax.networks import (
    NETWORKS,
    chain,
    concat,
    conv,
    load,
    map_network,
    network,
    one,
    scaled,
    stage,
)
from inception_jax.networks.describe.diff import diff
from inception_jax.networks.describe.likeness import likeness
from inception_jax.networks.ops import Residual, Scale, expand


def part_of(text, name):
    """Returns the lines of the part of a diff that begins with `name`."""
    parts = [part for part in text.split('\n\n') if part.startswith(name)]
    assert len(parts) == 1
    return parts[0].splitlines()


def rows(text):
    """Maps the stages to their rows in the table of a diff."""
    return {row.split()[0]: row for row in part_of(text, 'stage ')[1:]}


@pytest.mark.parametrize('name', NETWORKS)
def test_equal_networks_are_called_equal(name):
    renamed = dataclasses.replace(load(name), name='mine')
    assert diff(load(name), renamed) == f'{name} and mine are equal'


@pytest.mark.parametrize('first', NETWORKS)
@pytest.mark.parametrize('second', NETWORKS)
def test_other_networks_are_not_called_equal_within_100_columns(first, second):
    text = diff(load(first), load(second))
    assert text.endswith('are equal') == (first == second)
    assert max(map(len, text.splitlines())) <= 100


def test_released_resnet_v2_differs_from_the_paper_in_these_stages():
    text = diff(load('inception_resnet_v2'), load('inception_resnet_v2_slim'))
    verdicts = {stage: row.split('  ')[-1] for stage, row in rows(text).items()}
    assert verdicts == {
        **dict.fromkeys(('a', 'b', 'c', 'logits'), 'same block'),
        **dict.fromkeys(('reduction_a', 'reduction_b'), 'other order'),
        **dict.fromkeys(('mixed_5b', 'c_last', 'final', 'auxiliary'), 'only in +'),
        'stem': 'other block',
    }


def test_rows_hold_repeats_grids_scales_and_params_of_both():
    text = diff(load('inception_resnet_v2'), load('inception_resnet_v2_slim'))
    paper = ['b', '10', 'x', '17x17x1152', '0.1', '11,712,320']
    released = ['20', 'x', '17x17x1088', '0.1', '22,522,240', 'same', 'block']
    assert rows(text)['b'].split() == [*paper, *released]
    assert 'auxiliary  none  after b' in text
    assert '59,179,952' in text
    assert '55,813,192' in text


def test_stages_of_one_side_stand_between_their_neighbours():
    text = diff(load('inception_resnet_v2'), load('inception_resnet_v2_slim'))
    assert list(rows(text)) == [
        *('stem', 'mixed_5b', 'a', 'reduction_a', 'b', 'reduction_b'),
        *('c', 'c_last', 'final', 'logits', 'auxiliary'),
    ]


def test_released_v4_has_the_same_branches_in_another_order():
    text = diff(load('inception_v4'), load('inception_v4_slim'))
    assert 'a_1..a_4: the same branches in another order' in text
    assert 'branches 1 2 3 4 are now 4 1 2 3' in text


def test_transposed_kernels_are_shown_in_their_branch_only():
    text = diff(load('inception_v4'), load('inception_v4_slim'))
    assert part_of(text, 'b_1..b_7')[2:] == [
        '  branch 4: kernels transposed',
        '  - 1x1/192 -> 1x7/192 -> 7x1/224 -> 1x7/224 -> 7x1/256',
        '  + 1x1/192 -> 7x1/192 -> 1x7/224 -> 7x1/224 -> 1x7/256',
    ]


def test_a_chain_shows_what_it_shares():
    text = diff(load('inception_v4'), load('inception_v4_slim'))
    assert part_of(text, 'stem:') == [
        'stem: kernels transposed',
        '    3x3/32 s2V -> 3x3/32 V -> 3x3/64 -> [max 3x3 s2V; 3x3/96 s2V]',
        '  branch 2: kernels transposed',
        '  - 1x1/64 -> 7x1/64 -> 1x7/64 -> 3x3/96 V',
        '  + 1x1/64 -> 1x7/64 -> 7x1/64 -> 3x3/96 V',
        '    [3x3/192 s2V; max 3x3 s2V]',
    ]


def test_other_scales_are_shown_and_nothing_else():
    def rescale(op):
        return dataclasses.replace(op, scale=0.3) if isinstance(op, Residual) else op

    value = load('inception_resnet_v1')
    text = diff(value, map_network(rescale, value))
    assert part_of(text, 'a_1') == [
        'a_1..a_5: another scale',
        '  - scale 0.17',
        '  + scale 0.3',
    ]
    assert rows(text)['stem'].endswith('equal')


def test_properties_that_differ_are_listed():
    value = load('inception_v4')
    text = diff(value, dataclasses.replace(value, input_size=160, dropout=0.5))
    assert part_of(text, 'property') == [
        'property    -    +',
        'input_size  299  160',
        'dropout     0.2  0.5',
    ]
    assert rows(text)['a'].endswith('same block')


def test_branches_of_one_side_only_are_shown():
    first = network('n', one('p', concat(conv(1), conv(2, 3))))
    second = network(
        'n', one('p', concat(conv(2, 3), conv(1), chain(conv(4), conv(5))))
    )
    assert part_of(diff(first, second), 'p\n') == [
        'p',
        '  branches 1 2 are now 2 1',
        '  branch 3 of +',
        '  + 1x1/4 -> 1x1/5',
    ]


def test_other_repeats_of_equal_blocks_need_no_block_lines():
    value = load('inception_v4')
    text = diff(value, scaled(value, depth={'b': 0.5}))
    assert rows(text)['b'].endswith('same block')
    assert len(text.split('\n\n')) == 3


def test_blocks_of_a_stage_beyond_the_other_side_are_shown():
    first = network('n', stage('s', 1, conv(4), conv(4, 3)))
    second = network('n', stage('s', 2, conv(4)))
    text = diff(first, second)
    assert 's_2: only in -\n  - 3x3/4' in text


@pytest.mark.parametrize(
    ('old', 'new', 'text'),
    [
        (conv(1), conv(2), 'other widths'),
        (conv(1), conv(1, 3), 'other kernels'),
        (conv(1, (1, 7)), conv(1, (7, 1)), 'kernels transposed'),
        (conv(1, (1, 7)), conv(2, (7, 1)), 'kernels transposed, other widths'),
        (conv(1), conv(2, 3), 'other widths, other kernels'),
        (concat(conv(1), conv(2)), concat(conv(2), conv(1)), None),
        (conv(1), conv(1), ''),
        (Scale(0.0, True), Scale(0.1, True), 'other initial values'),
        (Scale(0.0, True), Scale(0.0, False), ''),
        (expand(), expand(stddev=0.0), 'other initial values'),
        (conv(1), chain(conv(1), conv(1)), ''),
        (conv(1, 3, 2), conv(1, 3), ''),
    ],
)
def test_relation_names_the_fewest_changes(old, new, text):
    same = 'the same branches in another order'
    assert likeness(old, new) == (same if text is None else text)
