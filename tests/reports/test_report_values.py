"""Curves, heat maps, tables and sentences of a report, from folders of runs."""

import dataclasses
import json
import math
from types import SimpleNamespace

import pytest
from helpers import fake_runs, tiny
from helpers.fake_runs import Fate

from inception_jax.lab.grid import short_names
from inception_jax.plots import series
from inception_jax.plots.series import Curve
from inception_jax.reports import sentences
from inception_jax.reports.study import read_study
from inception_jax.reports.table import filled_columns, table_rows
from inception_jax.stability.verdicts import Verdict
from inception_jax.training import summary
from inception_jax.training.loop import Outcome


@pytest.fixture(scope='module')
def sweep(tmp_path_factory):
    return read_study([fake_runs.write_sweep(tmp_path_factory.mktemp('sweep'))])


@pytest.fixture(scope='module')
def forks(tmp_path_factory):
    return read_study(fake_runs.write_forks(tmp_path_factory.mktemp('forks')))


def member(study, **fields):
    (match,) = [m for m in study.members if m.fields.items() >= fields.items()]
    return match


def test_a_curve_has_the_finite_values_of_its_split_in_its_unit():
    records = [
        {'split': 'train', 'step': 1, 'dead_channels': 0.5, 'cross_entropy': 2.0},
        {'split': 'train', 'step': 2, 'dead_channels': None, 'cross_entropy': math.nan},
        {'split': 'evaluation', 'step': 2, 'cross_entropy': 1.0},
        {
            'split': 'diagnostics',
            'step': 2,
            'dead_channels': [0.1],
            'nats_learned': 1.0,
        },
    ]
    curves = series.curve_series(records)
    assert curves['train', 'dead_channels'] == Curve([1, 2], [50.0, None])
    assert curves['train', 'cross_entropy'] == Curve([1, 2], [2.0, None])
    assert curves['evaluation', 'cross_entropy'] == Curve([2], [1.0])
    assert curves['diagnostics', 'nats_learned'] == Curve([2], [1.0])
    assert ('diagnostics', 'dead_channels') not in curves


def test_a_forks_curve_starts_at_its_last_record_before_the_fork():
    records = [
        {'split': 'train', 'step': step, 'cross_entropy': 1.0} for step in (10, 20, 30)
    ]
    curves = series.curve_series(records, origin=25)
    assert curves['train', 'cross_entropy'].steps == [20, 30]


def test_a_thinned_curve_keeps_peaks_troughs_gaps_and_ends():
    values = [1.0] * 1000
    values[333], values[444], values[555] = 9.0, -9.0, None
    curve = Curve(list(range(1000)), values)
    thinned = series.thin_curve(curve, 100)
    assert len(thinned.steps) <= 110
    assert {0, 333, 444, 555, 999} <= set(thinned.steps)
    assert thinned.steps == sorted(thinned.steps)
    assert series.thin_curve(curve, 1000) is curve


@pytest.mark.parametrize(
    ('step', 'linear', 'log'),
    [
        (5, None, None),
        (10, (10, 1.0), (10, 1.0)),
        (15, (15, 2.5), (15, pytest.approx(2.0))),
        (25, (20, 4.0), (20, 4.0)),
        (30, (20, 4.0), (20, 4.0)),
        (45, (45, 1.5), (40, 3.0)),
        (50, (50, 0.0), (40, 3.0)),
        (51, None, None),
    ],
)
def test_a_point_lies_on_the_drawn_line_or_there_is_none(step, linear, log):
    curve = Curve([10, 20, 30, 40, 50], [1.0, 4.0, None, 3.0, 0.0])
    assert curve.at(step, axis='linear') == linear
    assert curve.at(step, axis='log') == log
    assert Curve([10], [None]).at(10, axis='linear') is None
    assert Curve([], []).at(10, axis='linear') is None


def test_a_death_before_the_first_evaluation_has_no_mark_on_its_curve():
    records = [
        {'split': split, 'step': step, 'cross_entropy': float(step)}
        for split, step in (('train', 10), ('train', 40), ('evaluation', 45))
    ]
    curves = series.curve_series(records, lost_at=20)
    assert curves['evaluation', 'cross_entropy'].marks == {}
    _, value = curves['train', 'cross_entropy'].marks['lost']
    assert value == pytest.approx(10 * 4 ** (1 / 3))


def test_a_thinned_curve_has_the_line_on_which_its_marks_lie():
    values = [float(n % 7) for n in range(1000)]
    curve = Curve(list(range(0, 2000, 2)), values, {'lost': (1001, 4.5)})
    assert {1000, 1002} <= set(series.thin_curve(curve, 60).steps)


def test_a_heat_map_has_a_line_for_each_block_from_the_image_on():
    records = [
        {
            'split': 'diagnostics',
            'step': s,
            'blocks': ['stem', 'a'],
            'trunk_rms': [None, s],
        }
        for s in range(1, 10)
    ]
    heat_map = series.heat_map_series(records, 'trunk_rms', most=3)
    assert heat_map.blocks == ['stem', 'a']
    assert heat_map.steps == [1, 5, 9]
    assert heat_map.values == [[None, None, None], [1.0, 5.0, 9.0]]
    assert series.heat_map_series([], 'trunk_rms').values == []


def test_a_band_is_the_median_and_range_of_what_there_is_at_a_step():
    band = series.median_band([Curve([1, 2], [1.0, 5.0]), Curve([1, 2], [3.0, None])])
    assert (band.steps, band.low, band.middle, band.high) == (
        [1, 2],
        [1.0, 5.0],
        [2.0, 5.0],
        [3.0, 5.0],
    )


def test_the_table_has_fields_verdicts_and_last_records(sweep):
    table = table_rows(sweep)
    assert len(table) == 24
    dead = next(
        r for r in table if r['verdict'] == 'dead' and r['residual_scale'] == 1.0
    )
    assert (dead['width'], dead['seed'], dead['step'], dead['layer']) == (
        1.0,
        0,
        90,
        'c_2',
    )
    assert dead['dead_channels'] > 0.99
    assert dead['best_top_1_error'] <= dead['top_1_error'] == 90.0
    alive = member(sweep, residual_scale=0.1, width=0.25, seed=0)
    (last,) = [r for r in alive.records if r['split'] == 'evaluation'][-1:]
    assert table[0]['cross_entropy'] == last['cross_entropy']
    assert 'trend' in filled_columns(table)


def test_members_without_verdict_are_failed_or_unfinished(sweep):
    failed = member(sweep, residual_scale=0.3, width=1.0, seed=2)
    unfinished = member(sweep, residual_scale=0.1, width=1.0, seed=2)
    assert (failed.verdict, failed.steps_done) == ('failed', 0)
    assert (unfinished.verdict, unfinished.steps_done) == ('unfinished', 240)
    assert sentences.brief(unfinished) == 'unfinished at step 240'


@pytest.mark.parametrize(
    ('file', 'content', 'said'),
    [
        ('metrics.jsonl', b'x\n{}\n', 'line 1 of metrics.jsonl is not a record'),
        ('verdict.json', b'', 'verdict.json is damaged'),
        ('verdict.json', b'\xff', 'verdict.json is damaged'),
        ('verdict.json', b'{"passed": true}', 'verdict.json is not a file of a run'),
        ('verdict.json', b'[1]', 'verdict.json is not a file of a run'),
        ('config.json', b'{}', 'config.json is not a file of a run'),
    ],
)
def test_a_member_with_a_damaged_file_has_failed(tmp_path, file, content, said):
    fake_runs.write_sweep(tmp_path, scales=(0.1,), widths=(1.0,), seeds=(0, 1))
    name = 'residual_scale=0.1,width=1.0,seed=1'
    (tmp_path / 'members' / name / file).write_bytes(content)
    study = read_study([tmp_path])
    good, bad = study.members
    assert (good.verdict, bad.verdict) == ('alive', 'failed')
    assert said in bad.error
    assert (len(good.records) > 0, bad.records) == (True, [])
    assert [row['verdict'] for row in table_rows(study)] == ['alive', 'failed']
    assert table_rows(study)[1]['seed'] == 1


def test_the_top_5_error_of_five_classes_is_not_shown(sweep):
    few = dataclasses.replace(
        sweep,
        members=[
            dataclasses.replace(member, outcome=member.outcome | {'classes': 5})
            for member in sweep.members
            if member.outcome
        ],
    )
    assert 'top_5_error' in filled_columns(table_rows(sweep))
    assert 'top_5_error' not in filled_columns(table_rows(few))
    names = {name for member in few.members for _, name in few.curves(member)}
    assert 'top_1_error' in names
    assert 'top_5_error' not in names


def test_a_fake_verdict_has_the_keys_of_a_real_verdict(tmp_path):
    run = SimpleNamespace(workdir=tmp_path, network=tiny.NET, steps=600)
    summary.write_summary(run, Outcome(step=600, steps=600, verdict=Verdict()))
    written = fake_runs.read_json(tmp_path / 'verdict.json')
    fake = fake_runs.read_json(fake_runs.write_run(tmp_path / 'run') / 'verdict.json')
    assert list(fake) == list(written)


def test_replays_stand_in_the_order_of_their_steps(tmp_path):
    folder = fake_runs.write_run(tmp_path / 'run')
    for start in (1000, 200):
        fake_runs.write_replay(folder, start, start + 5)
    (run,) = read_study([folder]).members
    assert list(run.replays) == ['200 to 205', '1000 to 1005']


def test_a_run_that_was_stopped_alive_is_unfinished(tmp_path):
    folder = fake_runs.write_run(tmp_path / 'run')
    path = folder / 'verdict.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'steps_done': 300}))
    assert read_study([folder]).members[0].verdict == 'unfinished'


def test_a_field_inside_another_is_found_in_the_config(tmp_path):
    config = fake_runs.base_config()
    config['network']['width'] = {'stem': 0.5}
    contents = {
        'config': config,
        'members': {'a': {'network.width.stem': 1.0}, 'b': {}},
    }
    fake_runs.write_json(tmp_path / 'sweep.json', contents)
    study = read_study([tmp_path])
    assert [m.fields for m in study.members] == [
        {'width.stem': 1.0},
        {'width.stem': 0.5},
    ]
    assert study.fields == {'width.stem': 'width of stem'}


def test_a_field_that_a_member_leaves_out_has_the_value_of_the_config(tmp_path):
    members = {'a': {'hparams.learning_rate': 1.0}, 'b': {'run.seed': 3}}
    contents = {'config': fake_runs.base_config(), 'members': members}
    fake_runs.write_json(tmp_path / 'sweep.json', contents)
    study = read_study([tmp_path])
    assert [m.fields for m in study.members] == [
        {'learning_rate': 1.0, 'seed': 0},
        {'learning_rate': 0.045, 'seed': 3},
    ]


def test_names_are_short_where_that_is_clear():
    short = short_names(['a.seed', 'b.seed', 'a.width'])
    assert short == {'a.seed': 'a.seed', 'b.seed': 'b.seed', 'a.width': 'width'}


def test_dying_members_are_counted_if_none_died_or_diverged():
    table = [
        {'scale': scale, 'seed': 0, 'verdict': verdict}
        for scale, verdict in ((0.1, 'alive'), (1.0, 'dying'), (1.0, 'failed'))
    ]
    fields = {'scale': 'residual scale', 'seed': 'seed'}
    assert sentences.contrast(table, fields) == (
        'None died or diverged. Dying, by residual scale: 0 of 1 at 0.1, 1 of 1 at 1.'
    )
    many = [{'scale': 1.0, 'rule': 'none', 'verdict': 'dead'}] * 3
    many += [{'scale': 0.1, 'rule': 'none', 'verdict': 'alive'}] * 3
    many += [{'scale': 1.0, 'rule': 'rezero', 'verdict': 'dead'}]
    said = sentences.contrast(many, {'rule': 'rule', 'scale': 'residual scale'})
    assert said.startswith('Dead or diverged, by residual scale: 0 of 3 at 0.1')
    assert sentences.contrast(table[:1], fields) == 'None died or diverged.'
    assert sentences.contrast([table[1]], fields).endswith('1 of 1 dying.')


def test_the_summary_names_the_field_with_which_losses_go(tmp_path):
    folder = fake_runs.write_sweep(tmp_path, scales=(0.1, 1.0), widths=(1.0,))
    study = read_study([folder])
    assert sentences.study_summary(study, table_rows(study)) == (
        '6 members over residual scale, width and seed. '
        'So far, 5 of 6 finished. '
        'Dead or diverged, by residual scale: 0 of 2 at 0.1, 3 of 3 at 1.'
    )


@pytest.mark.parametrize(
    ('verdicts', 'said'),
    [
        (['alive', 'alive'], 'None died or diverged.'),
        (['alive', 'unfinished'], 'So far, 1 of 2 finished: none died or diverged.'),
        (['unfinished'] * 2, 'So far, 0 of 2 finished.'),
        (['dead', 'unfinished'], 'So far, 1 of 2 finished. 1 of 1 dead or diverged.'),
        (
            ['dying', 'unfinished'],
            'So far, 1 of 2 finished: none died or diverged. 1 of 1 dying.',
        ),
    ],
)
def test_a_resumed_sweep_says_how_many_members_are_finished(verdicts, said):
    assert (
        sentences.contrast([{'verdict': verdict} for verdict in verdicts], {}) == said
    )


@pytest.mark.parametrize(
    ('fate', 'expected'),
    [
        (Fate(), 'Alive. 600 of 600 steps.'),
        (
            Fate('dead', 260),
            'Dead since step 260; the first silent block is c_2.',
        ),
        (
            Fate('dying', 90),
            'the share of silent channels changes by +3.1 percentage points',
        ),
        (
            Fate('diverged', 70),
            'Diverged at step 70; first not finite: gradient of c_2',
        ),
        (Fate('failed'), 'Failed: ValueError: <no> such split & no folder.'),
        (Fate('unfinished', end=240), 'Unfinished at step 240.'),
    ],
)
def test_a_verdict_is_said_in_words(tmp_path, fate, expected):
    study = read_study([fake_runs.write_run(tmp_path, fate)])
    assert expected in sentences.study_summary(study, table_rows(study))


def test_forks_are_a_tree(forks):
    assert sentences.lineage_tree(forks) == '\n'.join(
        [
            'base: dead since step 260',
            '├─ from step 400, learning_rate: 0.045 to 0.0045',
            '│  late: dead since step 260 (before the fork)',
            '└─ from step 100, residual_scale: default to 0.1',
            '   early: alive',
            '   └─ from step 300, residual_scale: 0.1 to 2',
            '      again: diverged at step 480',
        ]
    )


def test_a_fork_without_its_parents_names_them(forks):
    again = next(m.folder for m in forks.members if m.name == 'again')
    lines = sentences.lineage_tree(read_study([again])).splitlines()
    assert lines[0].endswith('base (not in this report)')
    assert lines[2].endswith('early (not in this report)')
    assert lines[4].endswith('again: diverged at step 480')


def test_a_fork_may_have_the_name_of_its_parents_folder(tmp_path):
    base = fake_runs.write_run(tmp_path / 'runs' / 'scale=1')
    late = tmp_path / 'forks' / 'scale=1'
    other = tmp_path / 'forks' / 'other'
    for folder, step in ((late, 400), (other, 300)):
        fake_runs.fork(base, folder, step, {'residual_scale': 0.1}, Fate())
    tree = sentences.lineage_tree(read_study([late, other])).splitlines()
    assert tree[0] == f'{base} (not in this report)'
    assert tree[2::2] == ['│  scale=1: alive', '   other: alive']
    alone = sentences.lineage_tree(read_study([late])).splitlines()
    assert (alone[0], alone[2]) == (tree[0], '   scale=1: alive')
    both = sentences.lineage_tree(read_study([base, late])).splitlines()
    assert (both[0], both[2]) == ('runs/scale=1: alive', '   forks/scale=1: alive')


def test_runs_differ_in_the_fields_of_their_configs(forks):
    assert forks.kind == 'runs'
    assert forks.fields == {
        'learning_rate': 'learning rate',
        'residual_scale': 'residual scale',
    }
    assert member(forks, residual_scale=0.1).name == 'early'


def test_a_death_before_the_fork_is_the_parents(forks):
    lost = {m.name: m.lost_at for m in forks.members}
    assert lost == {'base': 260, 'late': None, 'early': None, 'again': 480}
    said = {m.name: sentences.member_sentences(m) for m in forks.members}
    assert said['late'].startswith('Dead since step 260 (before the fork); the first')
    assert 'before the fork' not in said['base'] + said['early'] + said['again']
