"""Sweeps that are killed, stopped, started twice, damaged or fail in part."""

import shutil
import signal
import subprocess
import sys
import time

import pytest
from helpers.sweeps import GRID, arguments, table
from helpers.training import environment

from inception_jax.__main__ import main
from inception_jax.lab import sweep
from inception_jax.lab.grid import ENGINES
from inception_jax.lab.sweep_folder import read_sweep
from inception_jax.runs.lock import lock_workdir


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    assert main(arguments(folder, f'--grid={GRID}')) == 0
    return folder


def begun(command):
    return subprocess.Popen(
        [sys.executable, '-m', 'inception_jax', *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )


def at_work(process, folder, before):
    """Waits until members have written more records than before."""
    while process.poll() is None and written(folder) <= before:
        time.sleep(0.02)
    assert process.poll() is None


def written(folder):
    return sum(
        path.read_text().count('\n') for path in folder.glob('members/*/metrics.jsonl')
    )


@pytest.mark.slow
def test_a_sweep_killed_three_times_ends_with_the_same_table(swept, tmp_path):
    command = arguments(tmp_path, f'--grid={GRID}')
    for records in (0, 2, 4):
        process = begun(command)
        at_work(process, tmp_path, written(tmp_path) + records)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert main(command) == 0
    assert table(tmp_path) == table(swept)


@pytest.mark.parametrize(
    'engine', ['sequential', pytest.param('vmap', marks=pytest.mark.slow)]
)
def test_a_signal_saves_the_running_members_and_the_sweep_resumes(engine, tmp_path):
    grid = ('--grid=seed=0,1', f'--engine={engine}')
    rarely = {'run__evaluate_every_epochs': 30, 'run__checkpoint_every_epochs': 30}
    command = arguments(
        tmp_path, *grid, run__epochs=30, run__diagnose_every_steps=0, **rarely
    )
    process = begun(command)
    at_work(process, tmp_path, before=0)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    saved = {f.name for f in tmp_path.glob('members/*/checkpoints/*')}
    assert len(saved) == 1
    assert 0 < int(saved.pop()) < 240
    assert main(command) == 0
    assert {row['steps_done'] for row in table(tmp_path)} == {'240'}


@pytest.mark.slow
def test_parts_may_run_at_the_same_time(swept, tmp_path):
    command = arguments(tmp_path, f'--grid={GRID}')
    parts = [begun([*command, f'--shard={part}/2']) for part in range(2)]
    assert [process.wait() for process in parts] == [0, 0]
    assert table(tmp_path) == table(swept)


def test_a_member_with_damaged_records_fails_alone(swept, tmp_path, capsys):
    folder = tmp_path / 'sweep'
    shutil.copytree(swept, folder)
    damaged = folder / 'members' / 'residual_scale=0.1,seed=1'
    text = (damaged / 'metrics.jsonl').read_text()
    (damaged / 'metrics.jsonl').write_text(f'half a rec\n{text}')
    (damaged / 'verdict.json').unlink()
    (folder / 'members' / 'residual_scale=1,seed=0' / 'verdict.json').unlink()
    assert main(['sweep', f'--workdir={folder}']) == 1
    assert 'line 1 of metrics.jsonl' in (damaged / 'error.txt').read_text()
    verdicts = [row['verdict'] for row in table(folder)]
    assert verdicts == ['alive', 'failed', 'alive', 'alive']


def test_a_failed_member_stops_no_other_and_is_tried_again(
    swept, tmp_path, monkeypatch
):
    train_from = sweep.train_from

    def fails(run, *arguments, **options):
        if run.experiment.run.seed == 1:
            raise RuntimeError('out of luck')
        return train_from(run, *arguments, **options)

    monkeypatch.setattr(sweep, 'train_from', fails)
    assert main(arguments(tmp_path, f'--grid={GRID}')) == 1
    assert [r['verdict'] for r in table(tmp_path)] == ['alive', 'failed'] * 2
    failed = tmp_path / 'members' / 'residual_scale=1,seed=1' / 'error.txt'
    assert 'out of luck' in failed.read_text()
    monkeypatch.undo()
    assert main(arguments(tmp_path, f'--grid={GRID}')) == 0
    assert table(tmp_path) == table(swept)
    assert not failed.exists()


def test_a_member_that_was_mended_by_hand_is_not_failed(swept, tmp_path):
    folder = tmp_path / 'sweep'
    shutil.copytree(swept, folder)
    member = folder / 'members' / 'residual_scale=1,seed=0'
    (member / 'error.txt').write_text('out of luck')
    (member / 'verdict.json').write_text('')
    assert main(['train', f'--workdir={member}']) == 0
    assert main(['sweep', f'--workdir={folder}']) == 0
    assert table(folder) == table(swept)


def test_a_damaged_verdict_is_none(swept, tmp_path):
    folder = tmp_path / 'sweep'
    shutil.copytree(swept, folder)
    for content, seed in (('', 0), ('{"verdict": "alive"}', 1)):
        member = folder / 'members' / f'residual_scale=1,seed={seed}'
        (member / 'verdict.json').write_text(content)
    assert [row['verdict'] for row in read_sweep(folder).table()] == [
        *('alive', 'alive', 'unfinished', 'unfinished')
    ]
    assert main(['sweep', f'--workdir={folder}']) == 0
    assert table(folder) == table(swept)


def test_a_group_that_fails_together_is_tried_alone(tmp_path, monkeypatch):
    def fails(*_):
        raise RuntimeError('too large')

    monkeypatch.setattr(sweep, 'train_members', fails)
    options = ('--grid=residual_scale=0.1,1', '--engine=vmap')
    assert main(arguments(tmp_path, *options)) == 0
    assert [r['verdict'] for r in table(tmp_path)] == ['alive', 'alive']


def test_one_that_is_held_elsewhere_keeps_no_other_waiting(tmp_path, capsys):
    command = arguments(tmp_path, '--grid=seed=0,1', '--engine=vmap', run__epochs=1)
    with lock_workdir(tmp_path / 'members' / 'seed=0'):
        main(command)
    assert [row['verdict'] for row in table(tmp_path)] == ['unfinished', 'alive']
    assert main(command) == 0
    assert [row['verdict'] for row in table(tmp_path)] == ['alive', 'alive']


def test_members_in_step_end_where_they_die_if_the_config_says_so(tmp_path, capsys):
    dies = {'hparams__learning_rate': 2.0, 'verdicts__window': 3}
    options = ('--grid=residual_scale=2.0,3.0', '--engine=vmap')
    changes = dies | {'verdicts__on_dead': 'stop'}
    assert main(arguments(tmp_path, *options, **changes)) == 0
    assert 'trying each alone' not in ''.join(capsys.readouterr())
    for row in table(tmp_path):
        assert row['verdict'] == 'dead'
        assert int(row['steps_done']) < int(row['steps'])


def test_members_on_devices_may_have_micro_batches(tmp_path, capsys):
    options = ('--grid=seed=0,1', '--engine=devices')
    changes = {'recipe__accumulation': 2, 'run__epochs': 1}
    assert main(arguments(tmp_path, *options, **changes)) == 0
    assert 'trying each alone' not in ''.join(capsys.readouterr())


@pytest.mark.parametrize('engine', ENGINES)
def test_a_diverged_member_is_a_row(engine, tmp_path):
    options = ('--grid=learning_rate=0.01,1e30', f'--engine={engine}')
    assert main(arguments(tmp_path, *options)) == 0
    alive, diverged = table(tmp_path)
    assert (alive['verdict'], diverged['verdict']) == ('alive', 'diverged')
    assert diverged['layer']
    assert int(diverged['steps_done']) < int(diverged['steps'])
    assert alive['steps_done'] == alive['steps']
