"""Bit-exact forks and replays of a run."""

import json
import math
import shutil

import numpy as np
import pytest
from helpers.training import arguments, assert_same_runs, records

from inception_jax.__main__ import main
from inception_jax.lab.replay import Replay
from inception_jax.lab.replay import replay as replay_run
from inception_jax.runs.lock import lock_workdir
from inception_jax.runs.run import Run


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('parents') / 'run'
    assert main(arguments(workdir, run__epochs=6)) == 0
    return workdir


def fork(parent, step, into, **changes):
    hparams = [f'--hparam={name}={value}' for name, value in changes.items()]
    folders = [f'--workdir={parent}', f'--into={into}']
    return main(['fork', *folders, f'--step={step}', *hparams])


def replay(workdir, first, last):
    return main(['replay', f'--workdir={workdir}', f'--from={first}', f'--to={last}'])


@pytest.mark.parametrize('step', [16, 23, 0])
def test_a_fork_without_changes_equals_the_original(parent, tmp_path, step):
    assert fork(parent, step, tmp_path / 'fork') == 0
    assert_same_runs(tmp_path / 'fork', parent)


def test_a_fork_continues_with_its_numbers_and_records_its_parent(parent, tmp_path):
    assert fork(parent, 20, tmp_path / 'a', residual_scale=1.0, learning_rate=0.01) == 0
    before, after = records(parent), records(tmp_path / 'a')
    assert [r for r in after if r['step'] <= 20] == [
        r for r in before if r['step'] <= 20
    ]
    assert after[-1]['cross_entropy'] != before[-1]['cross_entropy']
    rates = [r['learning_rate'] for r in after if r['split'] == 'train']
    assert rates[0] == pytest.approx(0.045)
    assert rates[-1] < 0.01
    lineage = Run(tmp_path / 'a').lineage
    assert lineage == {
        'parent': str(parent.resolve()),
        'step': 20,
        'changes': {
            'hparams.residual_scale': [None, 1.0],
            'hparams.learning_rate': [0.045, 0.01],
        },
        'lineage': None,
    }
    assert fork(tmp_path / 'a', 30, tmp_path / 'b', residual_scale=0.1) == 0
    assert Run(tmp_path / 'b').lineage['lineage'] == lineage


def test_an_existing_fork_resumes_and_a_different_fork_is_refused(
    parent, tmp_path, capsys
):
    into = tmp_path / 'fork'
    assert fork(parent, 16, into, residual_scale=0.5) == 0
    whole = records(into)
    assert fork(parent, 16, into, residual_scale=0.5) == 0
    assert main(['train', f'--workdir={into}']) == 0
    assert records(into) == whole
    capsys.readouterr()
    assert fork(parent, 17, into, residual_scale=0.5) == 2
    assert 'is not this fork' in capsys.readouterr().err


def test_a_fork_whose_checkpoints_are_gone_does_not_begin_anew(
    parent, tmp_path, capsys
):
    into = tmp_path / 'fork'
    assert fork(parent, 16, into, residual_scale=0.5) == 0
    whole = records(into)
    shutil.rmtree(into / 'checkpoints')
    for again in (
        lambda: fork(parent, 16, into, residual_scale=0.5),
        lambda: main(['train', f'--workdir={into}']),
    ):
        capsys.readouterr()
        assert again() == 2
        assert 'is a fork, and its checkpoints are gone' in capsys.readouterr().err
    assert records(into) == whole


@pytest.fixture(scope='module')
def longer(tmp_path_factory):
    """Returns a run of 16 steps that was then made one of 24."""
    workdir = tmp_path_factory.mktemp('longer') / 'run'
    for epochs in (2, 3):
        assert main(arguments(workdir, run__epochs=epochs)) == 0
    return workdir


def test_a_run_that_was_made_longer_is_replayed(longer, capsys):
    assert replay(longer, 8, 16) == 0
    assert 'bit-identical' in capsys.readouterr().out


def test_a_fork_of_a_run_that_was_made_longer_equals_it(longer, tmp_path):
    shutil.rmtree(longer / 'checkpoints' / '16')
    assert fork(longer, 17, tmp_path / 'fork') == 0
    assert records(tmp_path / 'fork') == records(longer)


def test_a_fork_into_what_is_no_folder_is_one_line(parent, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert fork(parent, 16, tmp_path / 'file' / 'fork') == 2
    assert 'name another folder' in capsys.readouterr().err


def test_a_fork_may_be_longer(parent, tmp_path):
    assert fork(parent, 48, tmp_path / 'fork', **{'run.epochs': 7}) == 0
    assert records(tmp_path / 'fork')[-1]['step'] == 56


@pytest.mark.parametrize(
    ('step', 'changes', 'message'),
    [
        (99, {}, 'it has steps 0 to 48'),
        (16, {'seed': 3}, 'config.run.seed cannot change in a fork'),
        (16, {'residual_scal': 3}, 'did you mean config.hparams.residual_scale?'),
        (16, {'dropout_rate': 1.0}, 'dropout_rate is 1.0'),
        (48, {}, 'leaves no step of the 48 to train'),
    ],
)
def test_a_mistake_is_one_line_and_makes_nothing(
    parent, tmp_path, capsys, step, changes, message
):
    assert fork(parent, step, tmp_path / 'fork', **changes) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


def test_a_replay_equals_the_run_and_looks_at_every_step(parent, capsys):
    assert replay(parent, 10, 48) == 0
    printed = capsys.readouterr().out
    assert 'bit-identical' in printed
    assert '20 of 20 records of training and diagnostics are equal' in printed
    lines = (parent / 'replay-10-48.jsonl').read_text().splitlines()
    looked = [json.loads(line) for line in lines]
    assert [r['step'] for r in looked] == [*range(11, 49)]
    recorded = [r for r in records(parent) if r['split'] == 'diagnostics']
    assert {r['step']: r for r in looked}[20] in recorded


def replayed(tmp_path, first=0, **columns):
    """Returns a replay of three steps with numbers of the blocks a_1, c_1, logits."""
    diagnosed = [
        {'split': 'diagnostics', 'step': first + n, 'epoch': 0.1}
        | {'blocks': ['a_1', 'c_1', 'logits']}
        | {name: steps[n - 1] for name, steps in columns.items()}
        for n in (1, 2, 3)
    ]
    return Replay(
        path=tmp_path / 'replay.jsonl',
        first=first,
        last=first + 3,
        records=1,
        different=[],
        same_state=None,
        diagnosed=diagnosed,
    )


def test_a_replay_names_the_blocks_that_fell_silent_and_the_largest_update(tmp_path):
    columns = {
        'dead_channels': [[0.0, 0.5, 0.0], [0.4, 0.2, 0.0], [0.9, 0.9, 0.0]],
        'update_ratio': [[9.0, 0.1, math.nan], [9.0, 0.1, 1.742], [9.0, 0.1, None]],
    }
    start, later = replayed(tmp_path, **columns), replayed(tmp_path, 10, **columns)
    assert start.half_silent == {'c_1': 1, 'a_1': 3}
    assert start.largest_logits_update == (2, 1.742)
    lines = str(start).splitlines()
    assert 'the run keeps no checkpoint of step 3' in lines[1]
    assert lines[2:] == [
        'half of the channels silent: c_1 at step 1, a_1 at 3',
        'largest update of the logits layer: 1.74 times the norm of its weights, at '
        'step 2',
    ]
    assert 'c_1 by step 11, a_1 at 13' in str(later)


def test_a_replay_without_silence_or_updates_says_nothing_of_them(tmp_path):
    none = [[0.0, None, 0.0]] * 3
    result = replayed(tmp_path, dead_channels=none, update_ratio=[[None] * 3] * 3)
    assert (result.half_silent, result.largest_logits_update) == ({}, None)
    assert len(str(result).splitlines()) == 2


def test_a_replay_gives_its_diagnostics_as_columns_like_a_run(parent):
    result = replay_run(parent, 0, 24)
    columns = result.diagnostics()
    assert columns['step'].tolist()[::4] == [*range(1, 25)]
    assert columns['block'].tolist()[:4] == ['stem', 'a_1', 'a_2', 'logits']
    recorded = Run(parent).records('diagnostics')
    assert list(columns) == list(recorded)
    for name in ('update_ratio', 'branch_ratio'):
        at = columns['step'] == recorded['step'][0]
        np.testing.assert_array_equal(columns[name][at], recorded[name][: at.sum()])


def test_a_replay_of_another_run_is_detected(parent, tmp_path, capsys):
    copy = tmp_path / 'copy'
    shutil.copytree(parent, copy)
    path = copy / 'metrics.jsonl'
    lines = path.read_text().splitlines()
    changed = json.loads(lines[5])
    changed['loss'] += 1e-6
    path.write_text('\n'.join([*lines[:5], json.dumps(changed), *lines[6:]]) + '\n')
    assert replay(copy, 0, 40) == 1
    assert f'that differ: steps {changed["step"]}' in capsys.readouterr().out


def test_a_run_stopped_between_records_has_its_last_step(tmp_path):
    changes = {'hparams__learning_rate': 1e30, 'run__log_every_steps': 50}
    assert main(arguments(tmp_path / 'run', **changes, run__epochs=1)) == 0
    assert replay(tmp_path / 'run', 0, 3) == 0


def test_steps_that_are_not_of_the_run_are_refused(parent, tmp_path, capsys):
    assert replay(parent, 10, 49) == 2
    assert 'it has steps 0 to 48' in capsys.readouterr().err
    assert replay(parent, 10, 10) == 2
    assert replay(tmp_path, 0, 1) == 2
    assert 'holds no run' in capsys.readouterr().err
    assert fork(parent, 16, tmp_path / 'late', residual_scale=0.5) == 0
    assert replay(tmp_path / 'late', 10, 20) == 2
    assert 'has steps 16 to 48' in capsys.readouterr().err


def test_two_equal_forks_at_once_are_one(parent, tmp_path, capsys):
    with lock_workdir(tmp_path / '.twin.forking'):
        assert fork(parent, 16, tmp_path / 'twin', residual_scale=0.5) == 2
    error = capsys.readouterr().err
    assert f'another process is making the fork {tmp_path / "twin"}' in error
    assert '--into' in error
    assert error.count('\n') == 1
