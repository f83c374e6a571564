"""Pictures for papers: their files, and what stands in them."""

import math
import os
import re

import numpy as np
import pytest
from helpers import fake_runs
from helpers.fake_runs import Fate
from matplotlib.figure import Figure

from inception_jax.plots import grouping, palette, quantities, series
from inception_jax.plots.blocks import column_edges, draw_heat_map
from inception_jax.plots.curves import (
    SeedLine,
    draw_run_curves,
    draw_run_panels,
    draw_seed_bands,
    run_curves,
)
from inception_jax.plots.series import Curve
from inception_jax.plots.stability import draw_stability_map
from inception_jax.plots.style import fit_linear_axis, write_figure
from inception_jax.reports import sentences
from inception_jax.reports.figures import draw_figures
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows
from inception_jax.runs.records import read_records


def texts(path):
    """Returns the texts of an SVG; matplotlib leaves each as a comment."""
    return [
        line.strip()
        for text in re.findall(r'<!--(.*?)-->', path.read_text(), re.S)
        for line in text.splitlines()
    ]


def test_the_picture_of_a_workdir_is_drawn(tmp_path):
    folder = fake_runs.write_run(tmp_path / 'run', Fate('diverged', 70))
    draw_run_curves(read_records(folder), tmp_path / 'curves.png', title='made up')
    assert (tmp_path / 'curves.png').stat().st_size > 10_000


def test_a_stability_map_names_verdicts_and_steps(tmp_path):
    table = [
        {'scale': 0.1, 'verdict': 'alive', 'step': None},
        {'scale': 1.0, 'verdict': 'dead', 'step': 1200},
        {'scale': 1.0, 'verdict': 'failed', 'step': None},
    ]
    grid = grouping.group_by_map(table, 'scale', None)
    fields = {'scale': 'residual scale'}
    png, svg = draw_stability_map(table, grid, tmp_path / 'map', fields=fields)
    assert png.stat().st_size > 5_000
    labels = texts(svg)
    assert {'residual scale', '0.1', '1', 'dead 1,200', 'failed', 'alive'} <= set(
        labels
    )
    for verdict in ('alive', 'dead'):
        assert palette.VERDICT_COLOURS[verdict][0] in svg.read_text()


def test_members_that_differ_in_more_than_their_seeds_are_labelled(tmp_path):
    dead = {'verdict': 'dead', 'step': 5}
    table = [{'initializer': name, 'seed': 0} | dead for name in ('he', 'lecun')]
    grid = grouping.group_by_map(table, None, None)
    fields = {'initializer': 'initializer', 'seed': 'seed'}
    _, svg = draw_stability_map(table, grid, tmp_path / 'map', fields=fields)
    assert {'he', 'lecun', 'dead 5'} <= set(texts(svg))


def test_a_crowded_cell_shows_counts_of_verdicts(tmp_path):
    table = [{'verdict': 'dead', 'step': 5}] * 7 + [{'verdict': 'alive', 'step': None}]
    grid = grouping.group_by_map(table, None, None)
    _, svg = draw_stability_map(table, grid, tmp_path / 'map', fields={})
    assert {'7 dead', '1 alive'} <= set(texts(svg))


def test_pictures_are_the_same_files_every_time(tmp_path):
    curves = {('train', 'cross_entropy'): Curve([1, 2], [2.0, 1.5])}
    drawn = {'cross_entropy': quantities.CURVES['cross_entropy']}
    first = draw_run_panels(curves, drawn, tmp_path / 'one')
    second = draw_run_panels(curves, drawn, tmp_path / 'other')
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_bands_have_a_panel_and_a_label_each(tmp_path):
    marks = {'lost': (2, 3.0), 'origin': (1, 2.0)}
    curves = [Curve([1, 2], [2.0, 3.0], marks), Curve([1, 2], [4.0, None])]
    line = SeedLine('#0072b2', curves)
    groups = {'width 1': {'0.1': line}, 'width 2': {'0.1': line, '1': line}}
    _, svg = draw_seed_bands(
        groups, quantities.CURVES['top_1_error'], tmp_path / 'spread', legend='scale'
    )
    labels = texts(svg)
    assert {'width 1', 'width 2', 'top-1 error, %', 'scale', 'step'} <= set(labels)
    assert (labels.count('0.1'), labels.count('top-1 error, %')) == (1, 1)


@pytest.mark.parametrize('value', [None, 0.0])
def test_curves_that_are_never_above_zero_are_drawn(tmp_path, value):
    curves = {('train', 'gradient_norm'): Curve([1, 2], [value, value])}
    drawn = {'gradient_norm': quantities.CURVES['gradient_norm']}
    assert draw_run_panels(curves, drawn, tmp_path / 'panels', step=1, label='dead')
    heat = series.HeatMap(['a'], [5], [[value]])
    norm = quantities.BLOCK_QUANTITIES['gradient_norm']
    assert draw_heat_map(heat, norm, tmp_path / 'heat', title='none', step=1)


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ((2.55, 2.65), ['2.56', '2.58', '2.6', '2.62', '2.64']),
        ((1.0, 5.0), ['1', '2', '3', '5']),
        ((0.1, 9.0), ['0.1', '0.3', '1', '3', '10']),
    ],
)
def test_a_short_logarithmic_axis_has_plain_numbers(values, expected):
    rows = [
        {'split': 'train', 'epoch': n, 'top_1_error': 50.0, 'cross_entropy': value}
        for n, value in enumerate(values)
    ]
    figure = run_curves(rows, title='made up')
    figure.canvas.draw()
    axis = figure.axes[1].yaxis
    low, high = axis.get_view_interval()
    labels = axis.get_ticklabels(which='both')
    shown = [x.get_text() for x in labels if low <= x.get_position()[1] <= high]
    assert list(filter(None, shown)) == expected


@pytest.mark.parametrize(
    'values', [(-18.69, 0.3561), (83.0, 94.15), (0.0, 2.0), (0.0, 0.0), (None, None)]
)
def test_a_linear_axis_has_0_and_a_margin_around_every_value(values):
    panel, other = Figure().subplots(1, 2, sharey=True)
    panel.plot([1, 2], [math.nan if value is None else value for value in values])
    fit_linear_axis([panel, other])
    low, high = panel.get_ylim()
    assert low <= 0 <= high
    margin = 0.04 * (high - low)
    finite = [value for value in values if value is not None]
    assert all(low + margin < value < high - margin for value in finite if value)
    assert all(low < value < high for value in finite)


def test_the_first_evaluation_of_a_run_is_within_its_picture():
    rows = [
        {'split': split, 'epoch': n, 'top_1_error': error, 'cross_entropy': 2.0}
        for n, (split, error) in enumerate([('train', 83.0), ('evaluation', 94.15)])
    ]
    panel, _ = run_curves(rows, title='made up').axes
    bottom, top = panel.get_ylim()
    assert (bottom, top) == (0, pytest.approx(1.05 * 94.15))


def test_columns_of_a_heat_map_meet_midway():
    np.testing.assert_array_equal(column_edges([10, 20, 40]), [5, 15, 30, 50])
    np.testing.assert_array_equal(column_edges([7]), [6.5, 7.5])


def test_a_heat_map_names_its_blocks(tmp_path):
    heat = series.HeatMap(['stem', 'c_2'], [1, 2], [[0.0, 50.0], [None, 100.0]])
    share = quantities.BLOCK_QUANTITIES['dead_channels']
    _, svg = draw_heat_map(heat, share, tmp_path / 'heat', title='one', step=2)
    assert {'stem', 'c_2', 'one', share.title, 'step'} <= set(texts(svg))


def test_a_sweep_has_its_map_bands_and_examples(tmp_path, monkeypatch):
    some = {'top_1_error': 'evaluation', 'dead_channels': 'train'}
    monkeypatch.setattr('inception_jax.reports.figures.DRAWN', some)
    folder = fake_runs.write_sweep(tmp_path / 'sweep', scales=(0.1, 1.0), seeds=(0, 2))
    study = read_study([folder])
    names = {
        path.name
        for path in draw_figures(study, table_rows(study), tmp_path / 'figures')
    }
    assert {'stability_map.svg', 'curves_dead_channels.png'} <= names
    assert {
        'heat_map_alive.svg',
        'heat_map_dead.svg',
        'heat_map_unfinished.svg',
    } <= names
    labels = texts(tmp_path / 'figures' / 'curves_top_1_error.svg')
    assert {'width 0.25 (448 filters)', 'width 1 (1,792 filters)'} <= set(labels)
    assert {'0.1', '1', 'top-1 error (evaluation), %'} <= set(labels)
    assert any(text.startswith('residual scale (median') for text in labels)


def test_the_newest_replay_of_a_run_has_heat_maps(tmp_path, monkeypatch):
    some = {'update_ratio': quantities.BLOCK_QUANTITIES['update_ratio']}
    monkeypatch.setattr('inception_jax.reports.figures.BLOCK_QUANTITIES', some)
    folder = fake_runs.write_run(tmp_path / 'run', Fate('dead', 260))
    for order, end in enumerate((280, 270)):
        fake_runs.write_replay(folder, 250, end)
        os.utime(folder / f'replay-250-{end}.jsonl', (order, order))
    study = read_study([folder])
    assert study.members[0].newest_replay == '250 to 270'
    paths = draw_figures(study, table_rows(study), tmp_path / 'figures')
    assert {path.stem for path in paths} == {
        'curves',
        'heat_map_update_ratio',
        'heat_map_update_ratio_replay-250-270',
    }
    drawn = texts(tmp_path / 'figures' / 'heat_map_update_ratio_replay-250-270.svg')
    assert {'run: dead since step 260', 'steps 250 to 270, replayed'} <= set(drawn)


def test_a_legend_explains_only_the_marks_that_are_drawn(tmp_path, monkeypatch):
    some = {'top_1_error': 'evaluation', 'dead_channels': 'train'}
    monkeypatch.setattr('inception_jax.reports.figures.DRAWN', some)
    base = fake_runs.write_run(tmp_path / 'base', Fate('dead', 40))
    folders = [base, fake_runs.fork(base, tmp_path / 'late', 300, {}, Fate())]
    study = read_study(folders)
    draw_figures(study, table_rows(study), tmp_path / 'figures')
    assert 'run (○ fork)' in texts(tmp_path / 'figures' / 'curves_top_1_error.svg')
    expected = f'run ({quantities.MARKS["origin"]}, {quantities.MARKS["lost"]})'
    assert expected in texts(tmp_path / 'figures' / 'curves_dead_channels.svg')


def test_members_with_another_change_have_figures_of_their_own(tmp_path, monkeypatch):
    some = {'dead_channels': 'train'}
    monkeypatch.setattr('inception_jax.reports.figures.DRAWN', some)
    folder = fake_runs.write_sweep(tmp_path / 'sweep', scales=(0.1, 1.0), seeds=(0, 1))
    sweep = fake_runs.read_json(folder / 'sweep.json')
    last = list(sweep['members'])[-1]
    sweep['members'][last] |= {'hparams.learning_rate': 0.0045}
    fake_runs.write_json(folder / 'sweep.json', sweep)
    study = read_study([folder])
    assert list(study.fields) == ['residual_scale', 'width', 'seed', 'change']
    table = table_rows(study)
    assert table[-1]['learning_rate'] == 0.0045
    draw_figures(study, table, tmp_path / 'figures')
    usual = texts(tmp_path / 'figures' / 'stability_map.svg')
    assert usual.count('alive') == 1 + 5
    changed = texts(tmp_path / 'figures' / 'stability_map_changes.svg')
    assert {'learning rate 0.0045', 'none', 'change'} <= set(changed)
    assert '0.1' not in changed
    lines = texts(tmp_path / 'figures' / 'curves_dead_channels_changes.svg')
    assert {'learning rate 0.0045', 'none'} <= set(lines)
    assert {'silent channels, final feature map', '(training), %'} <= set(lines)
    assert sentences.study_summary(study, table).endswith(
        '; 1 of 1 with another change.'
    )


def test_colours_are_ordered_where_values_are():
    assert palette.value_colours([0.1, 1.0]) == palette.ramp_colours(2)
    assert palette.value_colours([None, 'he']) == list(palette.DISTINCT[:2])
    assert palette.value_colours(list('abcdefgh')) == palette.ramp_colours(8)


def test_the_ramp_runs_from_end_to_end():
    assert palette.ramp_colours(1) == [palette.RAMP[0]]
    assert palette.ramp_colours(5) == list(palette.RAMP)
    assert palette.ramp_colours(2) == [palette.RAMP[0], palette.RAMP[-1]]


@pytest.mark.parametrize('name', ['$a_{b$', r'$\frac{$', '猫 $a^b$'])
def test_dollars_in_names_are_drawn_as_they_are(name, tmp_path):
    figure = run_curves([], title=name)
    write_figure(figure, tmp_path / 'a.svg')
    assert name in texts(tmp_path / 'a.svg')
    assert os.listdir(tmp_path) == ['a.svg']


def test_a_name_that_begins_with_an_underscore_is_in_the_legend(tmp_path):
    curve = Curve([1, 2], [3.0, 4.0], {})
    lines = {'': {'_mine': SeedLine('black', [curve])}}
    quantity = quantities.CURVES['top_1_error']
    draw_seed_bands(lines, quantity, tmp_path / 'a', legend='run')
    assert '_mine' in texts(tmp_path / 'a.svg')
