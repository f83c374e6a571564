"""A run on disk as a value: what it reads, what it shows, what it refuses."""

import json
import math

import numpy as np
import pytest
from helpers import fake_runs
from helpers.fake_runs import Fate

from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run, error_lines, run


@pytest.fixture
def folder(tmp_path):
    return fake_runs.write_run(tmp_path / 'run', Fate('dead', 90))


def test_a_run_is_read_from_its_folder(folder):
    value = run(str(folder))
    assert value == run(folder) == Run(folder)
    assert value.config['network']['name'] == value.network
    assert str(value.verdict).startswith('dead since step 90')
    assert value.outcome['steps_done'] == value.outcome['steps']
    assert (value.lineage, value.class_names, value.checkpoints) == (None, None, [])


def test_records_are_columns_of_one_length(folder):
    columns = run(folder).records('train')
    assert columns['step'].dtype.kind == 'i'
    assert columns['loss'].dtype == np.float64
    assert len({len(column) for column in columns.values()}) == 1
    assert 'split' not in columns
    assert run(folder).records('evaluation')['examples'][0] == 359


def test_diagnostics_have_a_row_for_each_step_and_block(folder):
    columns = run(folder).records('diagnostics')
    count = len(fake_runs.BLOCKS)
    assert list(columns['block'][:count]) == list(fake_runs.BLOCKS)
    assert len(set(columns['step'][:count])) == 1
    assert {column.ndim for column in columns.values()} == {1}
    is_residual = [block in fake_runs.RESIDUAL for block in fake_runs.BLOCKS]
    assert np.isfinite(columns['branch_rms'][:count]).tolist() == is_residual


def test_pandas_reads_the_records(folder):
    pandas = pytest.importorskip('pandas')
    frame = pandas.DataFrame(run(folder).records('diagnostics'))
    assert frame.groupby('block')['zero_share'].max().gt(0.3).all()


def test_numbers_that_were_not_finite_are_nan(tmp_path):
    folder = fake_runs.write_run(tmp_path, Fate('diverged', 60))
    loss = run(folder).records('train')['loss']
    assert math.isnan(loss[-1])
    assert not math.isnan(loss[0])


def test_a_verdict_without_dates_is_judged_anew_from_the_records(folder):
    outcome = json.loads((folder / 'verdict.json').read_text())
    for name in ('onset', 'death', 'confirmed'):
        del outcome[name]
    old = outcome | {'verdict': 'dying', 'step': 551}
    (folder / 'verdict.json').write_text(json.dumps(old))
    config = json.loads((folder / 'config.json').read_text())
    assert run(folder).verdict.step == 551  # The fake config has no thresholds.
    thresholds = {'dead_share': 0.95, 'dying_share': 0.5, 'window': 50}
    config['config']['verdicts'] = thresholds
    (folder / 'config.json').write_text(json.dumps(config))
    verdict = run(folder).verdict
    records = read_records(folder, 'train')
    shares = {record['step']: record['dead_channels'] for record in records}
    every = records[0]['step']
    onset, death = (
        min(step for step in shares if shares[step] >= share) - every + 1
        for share in (0.5, 0.95)
    )
    assert (verdict.verdict, verdict.step, verdict.layer) == ('dead', death, 'c_2')
    assert (verdict.onset, verdict.death) == (onset, death)
    assert verdict.confirmed == death + 49


@pytest.mark.parametrize(('classes', 'shown'), [(5, False), (6, True), (None, True)])
def test_the_top_5_error_is_shown_for_more_than_five_classes(folder, classes, shown):
    lines = error_lines(read_records(folder, 'evaluation'), classes)
    assert ('top-5 error' in lines['last']) == shown
    assert 'top-1 error' in lines['best']


def test_a_run_shows_itself(folder):
    value = run(folder)
    assert repr(value) == (
        f"Run('{folder}', fake, dead since step 90 (first silent block: c_2), "
        '600 of 600 steps)'
    )
    assert [line.split()[0] for line in str(value).splitlines()] == [
        *('run', 'network', 'steps', 'last', 'best', 'verdict')
    ]
    assert '<img src="data:image/png;base64,' in value._repr_html_()
    assert [panel.get_xlabel() for panel in value.curves().axes] == ['epoch'] * 2


def test_a_run_that_still_trains_has_no_verdict(folder):
    (folder / 'verdict.json').unlink()
    value = run(folder)
    assert (value.outcome, value.verdict) == (None, None)
    assert 'no verdict yet' in repr(value)


def test_checkpoints_are_listed_by_step(folder):
    for name in ('45', '405', '90', '449.orbax-checkpoint-tmp'):
        (folder / 'checkpoints' / name).mkdir(parents=True)
    assert run(folder).checkpoints == [45, 90, 405]


@pytest.mark.parametrize(
    ('files', 'message'),
    [
        ({}, 'holds no run; check the path, or start a run with train'),
        ({'sweep.json': '{}'}, 'holds a sweep; name the folder of one of its members'),
        ({'config.json': '{'}, r'config\.json is damaged'),
        ({'config.json': '[]'}, r'config\.json is not a file of a run'),
    ],
)
def test_a_folder_without_a_run_is_refused_in_one_line(files, message, tmp_path):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        run(tmp_path)
    assert '\n' not in str(error.value)
    with pytest.raises(ValueError, match='nothing does not exist; check the path, or'):
        run(tmp_path / 'nothing')


def test_a_damaged_verdict_is_an_error_or_none(folder):
    (folder / 'verdict.json').write_text(json.dumps({'passed': True}))
    with pytest.raises(ValueError, match=r'verdict\.json is not a file of a run'):
        _ = run(folder).verdict
    assert run(folder).readable_outcome is None
    assert 'no verdict yet' in repr(run(folder))


def test_an_unknown_split_is_named(folder):
    with pytest.raises(ValueError, match="split 'test' is none of train"):
        run(folder).records('test')
