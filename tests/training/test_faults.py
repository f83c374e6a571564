"""Faults around a run: each is one line, and no saved state is lost."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import pytest
from helpers.images import images
from helpers.training import apart, arguments, assert_same_runs, environment, records

from inception_jax.__main__ import main
from inception_jax.runs import checkpoints
from inception_jax.runs.lock import lock_workdir
from inception_jax.training import loop, programs

SHORT = {'run__epochs': 3, 'run__checkpoint_every_epochs': 1}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('whole')
    assert main(arguments(workdir, **SHORT)) == 0
    return workdir


def test_after_a_damaged_checkpoint_a_run_ends_as_if_nothing_had_been(
    whole, tmp_path, capsys
):
    workdir = shutil.copytree(whole, tmp_path / 'run')
    shutil.rmtree(workdir / 'checkpoints' / '24' / 'state')
    capsys.readouterr()
    assert main(arguments(workdir, **SHORT)) == 0
    printed = capsys.readouterr()
    assert printed.err.count('\n') == 1
    assert 'note: the checkpoint' in printed.err
    assert 'resumes from step 16' in printed.err
    assert_same_runs(workdir, whole)
    (damaged,) = (workdir / 'damaged').iterdir()
    assert damaged.name.startswith('24-')


def test_two_runs_do_not_share_a_workdir(whole, tmp_path, capsys):
    workdir = shutil.copytree(whole, tmp_path / 'run')
    with lock_workdir(workdir):
        assert main(arguments(workdir, **SHORT)) == 2
        printed = capsys.readouterr().err
    assert 'is at work in' in printed
    assert 'wait until it ends, stop it' in printed
    assert printed.count('\n') == 1
    assert main(arguments(workdir, **SHORT)) == 0


def test_a_second_process_is_refused_and_names_the_first(tmp_path):
    command = arguments(tmp_path, run__epochs=5000)
    first = subprocess.Popen(
        [sys.executable, '-m', 'inception_jax', *command],
        stdout=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        while not (tmp_path / 'metrics.jsonl').exists():
            assert first.poll() is None
            time.sleep(0.05)
        status, text = apart(command)
    finally:
        first.kill()
        first.wait()
    assert status == 2
    assert f'process {first.pid} on ' in text


def become_unreadable(path):
    """Makes reading a file an error of the system, as on a disk that fails."""
    path.unlink()
    path.symlink_to('/proc/self/mem')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (Path.unlink, 'cannot read example'),
        (lambda path: path.write_bytes(b''), 'cannot decode image 2/5.png'),
        (become_unreadable, 'of the data: Input/output error; check the disk; then'),
    ],
)
def test_data_that_are_gone_end_a_run_after_its_last_good_step(
    damage, message, tmp_path, monkeypatch, capsys
):
    data = tmp_path / 'data'
    images(data)
    changes = {'data__source': f'folder:{data}', 'run__epochs': 3}
    assert main(arguments(tmp_path / 'whole', **changes)) == 0
    rarely = {'run__checkpoint_every_epochs': 30}
    lost = data / 'train' / '2' / '5.png'
    content, put = lost.read_bytes(), loop.put_batch

    def goes_away(batch, mesh):
        goes_away.batches += 1
        if goes_away.batches == 7:
            damage(lost)
        return put(batch, mesh)

    goes_away.batches = 0
    monkeypatch.setattr(loop, 'put_batch', goes_away)
    assert main(arguments(tmp_path / 'run', **changes | rarely)) == 1
    printed = capsys.readouterr().err
    assert message in printed
    advice = 'restore the data, or set config.data.on_unreadable=skip; then run'
    assert (advice in printed) == message.startswith('cannot')
    assert printed.count('\n') == 1
    (step,) = checkpoints.checkpoint_steps(tmp_path / 'run' / 'checkpoints')
    assert 6 <= step < 12
    monkeypatch.undo()
    lost.unlink(missing_ok=True)
    lost.write_bytes(content)
    assert main(arguments(tmp_path / 'run', **changes | rarely)) == 0
    assert_same_runs(tmp_path / 'run', tmp_path / 'whole')


def test_lost_images_are_counted_if_they_are_to_be_skipped(tmp_path, capsys):
    data = tmp_path / 'data'
    images(data)
    changes = {'data__source': f'folder:{data}', 'run__epochs': 2}
    for split in ('train', 'test'):
        (data / split / '2' / '5.png').write_bytes(b'')
    assert main(arguments(tmp_path / 'run', **changes)) == 1
    capsys.readouterr()
    changes['data__on_unreadable'] = 'skip'
    assert main(arguments(tmp_path / 'run', **changes)) == 0
    printed = capsys.readouterr().err
    assert printed.count('cannot decode image 2/5.png: 0 bytes') == printed.count('\n')
    history = records(tmp_path / 'run')
    assert sum(r['unreadable'] for r in history if r['split'] == 'train') == 2
    evaluated = [r for r in history if r['split'] == 'evaluation']
    assert {(r['unreadable'], r['examples']) for r in evaluated} == {(1, 31)}


def test_a_full_disk_ends_a_run_which_resumes_when_there_is_room(
    whole, tmp_path, monkeypatch, capsys
):
    def full(self, step, **_):
        raise ValueError('RESOURCE_EXHAUSTED: No space left on device\nand details')

    workdir = tmp_path / 'run'
    monkeypatch.setattr(checkpoints.Manager, 'save', full)
    assert main(arguments(workdir, **SHORT)) == 1
    printed = capsys.readouterr().err
    assert 'RESOURCE_EXHAUSTED: No space left on device); free some space' in printed
    assert printed.count('\n') == 1
    monkeypatch.undo()
    assert main(arguments(workdir, **SHORT)) == 0
    assert_same_runs(workdir, whole)


def test_an_image_to_evaluate_on_that_is_lost_costs_no_steps(tmp_path, capsys):
    data, workdir = tmp_path / 'data', tmp_path / 'run'
    images(data)
    rarely = {'run__evaluate_every_epochs': 2, 'run__checkpoint_every_epochs': 30}
    changes = {'data__source': f'folder:{data}', 'run__epochs': 3} | rarely
    assert main(arguments(tmp_path / 'whole', **changes)) == 0
    lost = data / 'test' / '2' / '5.png'
    content = lost.read_bytes()
    lost.write_bytes(b'')
    capsys.readouterr()
    assert main(arguments(workdir, **changes)) == 1
    assert 'cannot decode image 2/5.png' in capsys.readouterr().err
    assert checkpoints.checkpoint_steps(workdir / 'checkpoints') == [8]
    lost.write_bytes(content)
    assert main(arguments(workdir, **changes)) == 0
    assert_same_runs(workdir, tmp_path / 'whole')


def test_a_disk_that_is_full_at_the_very_end_is_one_line(
    whole, tmp_path, monkeypatch, capsys
):
    def full(*_):
        raise OSError(28, 'No space left on device', 'verdict.json')

    workdir = shutil.copytree(whole, tmp_path / 'run')
    monkeypatch.setattr('inception_jax.training.run.write_summary', full)
    assert main(arguments(workdir, **SHORT)) == 1
    printed = capsys.readouterr().err
    assert 'verdict.json: No space left on device; check the disk' in printed
    assert printed.count('\n') == 1


def test_a_file_system_without_locks_is_one_line(tmp_path, monkeypatch, capsys):
    def none(*_):
        raise OSError(38, 'Function not implemented')

    monkeypatch.setattr('fcntl.flock', none)
    assert main(arguments(tmp_path, **SHORT)) == 2
    assert 'a file system with flock' in capsys.readouterr().err


def test_records_that_cannot_be_written_end_a_run(tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, 'No space left on device', 'metrics.jsonl')

    monkeypatch.setattr(loop.Log, 'write', full)
    assert main(arguments(tmp_path, **SHORT)) == 1
    printed = capsys.readouterr().err
    assert 'metrics.jsonl: No space left on device; check the disk' in printed


def test_a_step_that_does_not_fit_says_what_would(tmp_path, monkeypatch, capsys):
    def too_large(*_):
        raise jax.errors.JaxRuntimeError(
            'RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.'
        )

    steps = programs.StepFunctions(too_large, too_large)
    functions = programs.CompiledFunctions(steps, None, None)
    monkeypatch.setattr(loop, 'compiled_functions', lambda run: functions)
    assert main(arguments(tmp_path, **SHORT)) == 1
    printed = capsys.readouterr().err
    assert 'does not fit in the memory of the device' in printed
    assert 'config.recipe.remat=all' in printed
    assert printed.count('\n') == 1


def test_an_error_of_ours_is_not_one_line(tmp_path, monkeypatch):
    def wrong(*_):
        raise TypeError('ours')

    steps = programs.StepFunctions(wrong, wrong)
    functions = programs.CompiledFunctions(steps, None, None)
    monkeypatch.setattr(loop, 'compiled_functions', lambda run: functions)
    with pytest.raises(TypeError, match='ours'):
        main(arguments(tmp_path, **SHORT))


def test_a_clock_that_goes_backwards_changes_nothing(whole, tmp_path, monkeypatch):
    now = time.time()

    def backwards():
        backwards.calls += 1
        return now - 60.0 * backwards.calls

    backwards.calls = 0
    monkeypatch.setattr(time, 'time', backwards)
    assert main(arguments(tmp_path, **SHORT)) == 0
    assert backwards.calls > 0
    assert_same_runs(tmp_path, whole)


def test_checkpoints_by_minutes_come_with_the_records(tmp_path):
    rarely = {'run__checkpoint_every_epochs': 30, 'run__keep_checkpoints': 9}
    often = {'run__checkpoint_every_minutes': 1e-9}
    assert main(arguments(tmp_path, **SHORT | rarely | often)) == 0
    assert sorted(checkpoints.checkpoint_steps(tmp_path / 'checkpoints')) == [
        5,
        10,
        15,
        20,
        24,
    ]


def test_the_best_checkpoint_is_kept(tmp_path):
    changes = {'run__epochs': 12, 'run__evaluate_every_epochs': 1}
    changes |= {'run__keep_best': 1, 'run__keep_checkpoints': 1}
    assert main(arguments(tmp_path, **changes)) == 0
    errors = {
        r['step']: r['top_1_error']
        for r in records(tmp_path)
        if r['split'] == 'evaluation'
    }
    kept = checkpoints.checkpoint_steps(tmp_path / 'checkpoints')
    best = min(errors.values())
    assert best in [errors[step] for step in kept]
    assert set(kept) <= {96, *(step for step, e in errors.items() if e == best)}


def verdict(workdir):
    return json.loads((workdir / 'verdict.json').read_text())


DIVERGES = {'hparams__learning_rate': 1e38, 'run__epochs': 2}


def test_a_diverged_run_continues_if_the_config_says_so(tmp_path):
    assert main(arguments(tmp_path / 'stops', **DIVERGES)) == 0
    assert verdict(tmp_path / 'stops')['steps_done'] < 16
    goes_on = DIVERGES | {'verdicts__on_diverged': 'go_on'}
    assert main(arguments(tmp_path / 'goes', **goes_on)) == 0
    outcome = verdict(tmp_path / 'goes')
    assert (outcome['verdict'], outcome['steps_done'], outcome['ended']) == (
        'diverged',
        16,
        False,
    )
    assert checkpoints.checkpoint_steps(tmp_path / 'goes' / 'checkpoints') == [16]


def test_updates_that_are_left_out_are_counted_and_end_a_run_at_last(tmp_path):
    skips = DIVERGES | {'recipe__skip_non_finite': True, 'verdicts__window': 5}
    assert main(arguments(tmp_path, **skips)) == 0
    outcome = verdict(tmp_path)
    assert outcome['verdict'] == 'diverged'
    assert outcome['steps_done'] >= 5
    shares = [r['skipped'] for r in records(tmp_path) if r['split'] == 'train']
    assert max(shares) > 0.5


def test_a_dead_run_stops_if_the_config_says_so(tmp_path):
    dies = {
        'hparams__residual_scale': 3.0,
        'hparams__learning_rate': 2.0,
        'verdicts__window': 3,
    }
    assert main(arguments(tmp_path / 'on', **SHORT | dies)) == 0
    dies['verdicts__on_dead'] = 'stop'
    assert main(arguments(tmp_path / 'stop', **SHORT | dies)) == 0
    on, stop = verdict(tmp_path / 'on'), verdict(tmp_path / 'stop')
    assert (on['verdict'], on['steps_done']) == ('dead', 24)
    assert (stop['verdict'], stop['ended']) == ('dead', True)
    assert stop['step'] == on['step']
    assert stop['steps_done'] < 24
    kept = checkpoints.checkpoint_steps(tmp_path / 'stop' / 'checkpoints')
    assert stop['steps_done'] in kept
    recorded = records(tmp_path / 'stop')
    assert main(arguments(tmp_path / 'stop', **SHORT | dies)) == 0
    assert records(tmp_path / 'stop') == recorded
    dies['verdicts__on_dead'] = 'go_on'
    assert main(arguments(tmp_path / 'stop', **SHORT | dies)) == 0
    assert verdict(tmp_path / 'stop')['steps_done'] == 24


def test_a_run_notes_replaced_images_and_refuses_relabelled_ones(tmp_path, capsys):
    folder, workdir = tmp_path / 'images', tmp_path / 'run'
    images(folder)
    options = {'data__source': f'folder:{folder}', 'run__epochs': 1}
    assert main(arguments(workdir, **options)) == 0
    shutil.copy(folder / 'train' / '0' / '1.png', folder / 'train' / '0' / '0.png')
    capsys.readouterr()
    assert main(arguments(workdir, **options | {'run__epochs': 2})) == 0
    assert 'began: the content of images differs' in capsys.readouterr().err
    (folder / 'train' / '0' / '1.png').rename(folder / 'train' / '1' / '9.png')
    assert main(arguments(workdir, **options | {'run__epochs': 3})) == 2
    printed = capsys.readouterr().err
    assert 'the data of the train split have changed' in printed
    assert printed.count('\n') == 1


def test_a_run_resumes_where_its_images_have_moved(tmp_path):
    folder, workdir = tmp_path / 'images', tmp_path / 'run'
    images(folder)
    options = {'data__source': f'folder:{folder}', 'run__epochs': 1}
    assert main(arguments(workdir, **options)) == 0
    moved = folder.rename(tmp_path / 'moved')
    options = {'data__source': f'folder:{moved}', 'run__epochs': 2}
    assert main(arguments(workdir, **options)) == 0
    assert records(workdir)[-1]['epoch'] == 2


def test_curves_that_cannot_be_drawn_end_no_run(whole, tmp_path, monkeypatch, capsys):
    def no_place(*_, **__):
        raise OSError('Matplotlib requires access to a writable cache directory')

    workdir = shutil.copytree(whole, tmp_path / 'run')
    monkeypatch.setattr('inception_jax.plots.curves.draw_run_curves', no_place)
    assert main(arguments(workdir, **SHORT)) == 0
    assert 'note: curves.png is not drawn (Matplotlib' in capsys.readouterr().err
    assert verdict(workdir)['steps_done'] == verdict(workdir)['steps']
