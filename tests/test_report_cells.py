"""Rows of a table by the values of their fields: maps, lines, labels."""

import pytest

from inception_jax.reports import cells


def test_a_stability_map_has_every_row_in_the_cell_of_its_values():
    table = [
        {'scale': 1.0, 'width': 2, 'seed': 0},
        {'scale': 0.1, 'width': 2, 'seed': 0},
        {'scale': 1.0, 'width': 2, 'seed': 1},
    ]
    found = cells.stability_map(table, 'width', 'scale')
    assert (found.columns, found.lines) == ([2], [0.1, 1.0])
    assert found.cells == [[[1]], [[0, 2]]]
    assert cells.stability_map(table, None, None).cells == [[[0, 1, 2]]]


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
    assert cells.axes(table, called) == expected


def test_rows_that_differ_by_seeds_are_one_line():
    fields = {name: name for name in ('scale', 'width', 'seed', 'rule')}
    table = [
        {'scale': scale, 'width': 1, 'seed': seed, 'rule': None, 'filters': 8}
        for scale in (1.0, 0.1)
        for seed in (0, 1)
    ]
    table.append({'scale': 1.0, 'width': 2, 'seed': 0, 'rule': 'rezero', 'filters': 16})
    assert cells.lines(table, fields, 'width', 'scale') == {
        'width 1 (8 filters)': {
            "0.1, network's own": [2, 3],
            "1, network's own": [0, 1],
        },
        'width 2 (16 filters)': {'1, rezero': [4]},
    }
    assert cells.lines(table[:2], fields, 'seed', None) == {'': {'0': [0], '1': [1]}}


def test_labels_tell_filters_only_where_a_width_means_one_number_of_them():
    table = [{'width': n, 'rule': n, 'filters': 7 + n} for n in (1, 2)]
    fields = {'width': 'width', 'rule': 'rule'}
    assert cells.labels(table, 'width', fields) == {
        1: '1 (8 filters)',
        2: '2 (9 filters)',
    }
    assert cells.labels(table, 'rule', fields) == {1: '1', 2: '2'}
    table.append({'width': 2, 'rule': 2, 'filters': 100})
    assert cells.labels(table, 'width', fields) == {1: '1', 2: '2'}


def test_values_are_ordered_none_first_then_numbers_then_texts():
    values = ['he', 10, None, 0.5, '[1]', 10]
    assert cells.ordered(values) == [None, 0.5, 10, '[1]', 'he']
