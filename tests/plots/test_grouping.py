"""Rows of a table by the values of their fields: maps, lines, labels."""

import pytest

from inception_jax.plots import grouping


def test_a_stability_map_has_every_row_in_the_cell_of_its_values():
    table = [
        {'scale': 1.0, 'width': 2, 'seed': 0},
        {'scale': 0.1, 'width': 2, 'seed': 0},
        {'scale': 1.0, 'width': 2, 'seed': 1},
    ]
    grid = grouping.group_by_map(table, 'width', 'scale')
    assert (grid.columns, grid.lines) == ([2], [0.1, 1.0])
    assert grid.cells == [[[1]], [[0, 2]]]
    assert grouping.group_by_map(table, None, None).cells == [[[0, 1, 2]]]


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        (['seed', 'width', 'residual_scale'], ('width', 'residual_scale')),
        (['seed', 'residual_scale', 'initializer'], ('initializer', 'residual_scale')),
        (['seed', 'initializer'], ('initializer', None)),
        (['seed'], ('seed', None)),
        (['fixed'], (None, None)),
    ],
)
def test_a_seed_is_an_axis_only_where_nothing_else_varies(fields, expected):
    names = [field for field in fields if field != 'fixed']
    table = [dict.fromkeys(names, i) | {'fixed': 0} for i in range(2)]
    called = {field: field.replace('_', ' ') for field in fields}
    assert grouping.map_axes(table, called) == expected


def test_rows_that_differ_by_seeds_are_one_line():
    fields = {name: name for name in ('scale', 'width', 'seed', 'rule')}
    table = [
        {'scale': scale, 'width': 1, 'seed': seed, 'rule': None, 'filters': 8}
        for scale in (1.0, 0.1)
        for seed in (0, 1)
    ]
    table.append({'scale': 1.0, 'width': 2, 'seed': 0, 'rule': 'rezero', 'filters': 16})
    assert grouping.group_lines(table, fields, 'width', 'scale') == {
        'width 1 (8 filters)': {
            '0.1, default': [2, 3],
            '1, default': [0, 1],
        },
        'width 2 (16 filters)': {'1, rezero': [4]},
    }
    assert grouping.group_lines(table[:2], fields, 'seed', None) == {
        '': {'0': [0], '1': [1]}
    }


def test_labels_name_filters_only_where_each_width_has_a_single_number():
    table = [{'width': n, 'rule': n, 'filters': 7 + n} for n in (1, 2)]
    fields = {'width': 'width', 'rule': 'rule'}
    assert grouping.value_labels(table, 'width', fields) == {
        1: '1 (8 filters)',
        2: '2 (9 filters)',
    }
    assert grouping.value_labels(table, 'rule', fields) == {1: '1', 2: '2'}
    table.append({'width': 2, 'rule': 2, 'filters': 100})
    assert grouping.value_labels(table, 'width', fields) == {1: '1', 2: '2'}


def test_values_are_ordered_none_first_then_numbers_then_texts():
    values = ['he', 10, None, 0.5, '[1]', 10]
    assert grouping.sorted_values(values) == [None, 0.5, 10, '[1]', 'he']


def controls():
    """Returns scales and seeds, of which two rows change something else besides."""
    usual = {'rule': None, 'clip': False, 'rate': 0.045}
    table = [
        {'scale': scale, 'seed': seed} | usual
        for scale in (0.1, 1.0)
        for seed in (0, 1)
    ]
    table += [table[0] | {'rate': 0.0045}, table[3] | {'rule': 'rezero', 'clip': True}]
    fields = {'scale': 'residual scale', 'seed': 'seed'}
    return table, fields | {name: name for name in usual}


def test_fields_that_few_rows_change_are_shown_as_a_change():
    table, fields = controls()
    usual = grouping.usual_values(table, fields)
    assert usual == {'rule': None, 'clip': False, 'rate': 0.045}
    changes = [grouping.change_text(row, usual, fields) for row in table]
    assert changes == [*[None] * 4, 'rate 0.0045', 'rule rezero, clip']


def test_a_residual_scale_is_no_mere_change():
    table, fields = controls()
    assert 'scale' not in grouping.usual_values(table[2:] + table[2:4], fields)
    factorial = [{'rule': rule, 'rate': rate} for rule in (0, 1) for rate in (0, 1)]
    assert grouping.usual_values(factorial, {'rule': 'rule', 'rate': 'rate'}) == {}


def test_changes_are_an_axis_only_where_nothing_else_varies():
    fields = {'change': 'change', 'seed': 'seed', 'rule': 'rule', 'width': 'width'}
    table = [dict.fromkeys(fields, value) for value in (None, 1)]
    assert grouping.map_axes(table, fields) == ('rule', 'width')
    del fields['rule'], fields['width']
    assert grouping.map_axes(table, fields) == ('change', None)
    assert grouping.value_labels(table, 'change', fields)[None] == 'none'
