"""Runs as a user starts them: from the command line to the files in the workdir."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time

import chex
import cv2
import jax
import numpy as np
import pytest
from helpers.images import images
from helpers.training import (
    apart,
    arguments,
    assert_same_runs,
    environment,
    last_state,
    records,
)

from inception_jax.__main__ import main
from inception_jax.data import pipeline
from inception_jax.runs.run import Run
from inception_jax.runtime import compilation_cache, signals
from inception_jax.training.prepare import prepare


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('runs') / 'whole'
    assert main(arguments(workdir)) == 0
    return workdir


def test_a_run_leaves_its_files_behind(finished):
    verdict = json.loads((finished / 'verdict.json').read_text())
    assert verdict['verdict'] == 'alive'
    assert verdict['steps_done'] == verdict['steps'] == 96
    assert verdict['last_evaluation']['examples'] == 64
    assert (finished / 'curves.png').read_bytes().startswith(b'\x89PNG')
    assert json.loads((finished / 'config.json').read_text())['network'] == 'tiny'
    assert list(finished.glob('events.out.tfevents*'))
    assert {p.name for p in (finished / 'checkpoints').iterdir()} == {'80', '96'}


def test_records_come_when_they_are_due(finished):
    steps = {'train': [], 'evaluation': [], 'diagnostics': []}
    for record in records(finished):
        steps[record['split']].append(record['step'])
    assert steps['train'] == [*range(5, 96, 5), 96]
    assert steps['evaluation'] == [32, 64, 96]
    assert steps['diagnostics'] == [*range(1, 21), *range(30, 97, 10)]


def test_the_output_of_one_epoch_and_four_classes_is_english(tmp_path, capsys):
    assert main(arguments(tmp_path / 'run', run__epochs=1)) == 0
    printed = capsys.readouterr().out
    assert '8 steps of 8 images (1 epoch) on ' in printed
    assert 'synthetic:64/4: 64 images to train on, 64 to evaluate on, 4 cl' in printed
    assert 'top-5' not in printed


def test_a_run_learns(finished):
    errors = [r['top_1_error'] for r in records(finished) if r['split'] == 'evaluation']
    assert errors[-1] < 40.0


def test_the_same_command_gives_the_same_numbers(finished, tmp_path, capsys):
    assert main(arguments(tmp_path)) == 0
    assert records(tmp_path) == records(finished)
    assert 'top-1 error' in capsys.readouterr().out


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    before = records(finished)
    assert main(arguments(finished)) == 0
    assert records(finished) == before
    assert '96 of 96' in capsys.readouterr().out


def test_a_longer_run_resumes_from_a_finished_run(tmp_path):
    assert main(arguments(tmp_path / 'a', run__epochs=4)) == 0
    assert main(arguments(tmp_path / 'a', run__epochs=8)) == 0
    assert main(arguments(tmp_path / 'b', run__epochs=8)) == 0
    jax.tree.map(
        np.testing.assert_array_equal,
        last_state(tmp_path / 'a')['params'],
        last_state(tmp_path / 'b')['params'],
    )


def test_compiled_programs_are_kept_where_the_user_named_no_folder(tmp_path):
    code = (
        'from inception_jax.__main__ import main; '
        f'main({arguments(tmp_path / "run", none__such=1)!r}); '
        'import jax; print(jax.config.jax_compilation_cache_dir)'
    )
    names = environment() | {'XDG_CACHE_HOME': str(tmp_path)}
    names.pop('JAX_COMPILATION_CACHE_DIR')
    completed = subprocess.run(
        [sys.executable, '-c', code], env=names, capture_output=True, text=True
    )
    assert completed.stdout == f'{compilation_cache.cache_folder(names)}\n'


def test_a_stopped_and_killed_run_ends_with_the_bits_of_a_whole_one(finished, tmp_path):
    status, text = apart(arguments(tmp_path), 'step      5', signal.SIGINT)
    assert status == 128 + signal.SIGINT
    assert 'run the same command again' in text
    status, text = apart(arguments(tmp_path), 'step     45', signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert 'resuming from step' in text
    assert main(arguments(tmp_path)) == 0
    assert_same_runs(tmp_path, finished)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'network__name': 'inception_v5'}, 'did you mean inception_v4'),
        ({'run__epoch': 3}, 'did you mean config.run.epochs'),
        ({'run__batch_size': 'many'}, "config.run.batch_size is 'many'; expected int"),
        ({'run__batch_size': 30}, 'use a multiple of 4, e.g. 28 or 32'),
        ({'data__source': 'folder:/no/such'}, '/no/such'),
        ({'data__source': 'digit'}, 'did you mean digits'),
        ({'network__classes': 7}, 'has 4 classes'),
        ({'network__name': 'inception_v4', 'network__input_size': 74}, 'at least 75'),
        (
            {'network__name': 'helpers.tiny:NOT'},
            "cannot load network 'helpers.tiny:NOT'",
        ),
        ({'hparams__dropout_rate': 1.0}, 'dropout_rate is 1.0'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(changes, message, tmp_path, capsys):
    assert main(arguments(tmp_path / 'run', **changes)) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count('\n') == 1
    assert printed.out == ''
    assert not (tmp_path / 'run').exists()


def test_an_empty_folder_is_refused(tmp_path, capsys):
    (tmp_path / 'images' / 'train').mkdir(parents=True)
    source = f'folder:{tmp_path / "images"}'
    assert main(arguments(tmp_path / 'run', data__source=source)) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_a_missing_config_is_refused(tmp_path, capsys):
    assert main(arguments(tmp_path / 'run', config='configs/none.py')) == 2
    assert 'configs/none.py' in capsys.readouterr().err


def test_a_workdir_of_another_network_or_config_is_refused(finished, capsys):
    before = (finished / 'config.json').read_text()
    other = {'network__name': 'inception_resnet_v1', 'network__input_size': 75}
    assert main(arguments(finished, **other)) == 2
    assert 'holds a run of tiny' in capsys.readouterr().err
    assert main(arguments(finished, hparams__learning_rate=0.1)) == 2
    assert 'config.hparams.learning_rate=0.045' in capsys.readouterr().err
    assert (finished / 'config.json').read_text() == before


def test_a_damaged_checkpoint_is_refused_and_not_begun_anew(tmp_path):
    assert main(arguments(tmp_path, run__epochs=2)) == 0
    for path in (tmp_path / 'checkpoints').rglob('*'):
        if path.is_file() and path.parent.name == 'd':
            path.write_bytes(path.read_bytes()[:100])
    status, text = apart(arguments(tmp_path, run__epochs=4))
    assert status == 2
    assert 'no checkpoint in' in text
    assert text.count('\n') == 1
    assert 'images/s' not in text


def test_a_run_whose_last_update_diverges_is_not_alive(tmp_path):
    changes = {'hparams__learning_rate': 1e38, 'run__epochs': 0.125}
    assert main(arguments(tmp_path, **changes)) == 0
    verdict = json.loads((tmp_path / 'verdict.json').read_text())
    assert (verdict['verdict'], verdict['steps_done']) == ('diverged', 1)


def test_a_network_without_residual_blocks_is_saved_and_resumes(tmp_path, capsys):
    plain = {'network__name': 'helpers.tiny:PLAIN'}
    assert main(arguments(tmp_path, run__epochs=2, **plain)) == 0
    assert main(arguments(tmp_path, run__epochs=4, **plain)) == 0
    assert 'resuming from step 16' in capsys.readouterr().out


def test_a_checkpoint_of_another_run_is_refused(tmp_path, capsys):
    assert main(arguments(tmp_path, run__epochs=2)) == 0
    (tmp_path / 'config.json').unlink()
    other = {'run__epochs': 4, 'hparams__learning_rate': 0.01}
    assert main(arguments(tmp_path, **other)) == 2
    assert 'config.hparams.learning_rate=0.045' in capsys.readouterr().err
    assert not (tmp_path / 'config.json').exists()


def test_changed_data_are_refused(tmp_path, capsys):
    def write_images(folder, classes):
        for split in ('train', 'test'):
            for name in classes:
                (folder / split / name).mkdir(parents=True, exist_ok=True)
                for i in range(8):
                    pixels = np.full((16, 16, 3), 20 * i, np.uint8)
                    cv2.imwrite(str(folder / split / name / f'{i}.png'), pixels)

    data, run = tmp_path / 'data', tmp_path / 'run'
    write_images(data, ('a', 'b'))
    changes = {'data__source': f'folder:{data}', 'run__epochs': 2}
    assert main(arguments(run, **changes)) == 0
    (data / 'train' / 'a').rename(data / 'train' / 'z')
    (data / 'test' / 'a').rename(data / 'test' / 'z')
    assert main(arguments(run, **changes)) == 2
    assert 'the data of the train split have changed' in capsys.readouterr().err


def test_a_run_without_a_step_starts_anew_after_a_broken_image_is_removed(
    tmp_path, capsys
):
    images(tmp_path / 'data')
    broken = tmp_path / 'data' / 'train' / '0' / 'broken.jpg'
    broken.write_bytes(b'no image')
    changes = {'data__source': f'folder:{tmp_path / "data"}', 'run__batch_size': 64}
    assert main(arguments(tmp_path / 'run', **changes)) == 1
    assert 'cannot decode image 0/broken.jpg' in capsys.readouterr().err
    broken.unlink()
    assert main(arguments(tmp_path / 'run', **changes)) == 0
    printed = capsys.readouterr().err
    assert 'holds a run without a step, which starts anew: the data of the' in printed
    assert ' images then, ' in printed
    assert 'use another --workdir' not in printed
    last = last_state(tmp_path / 'run')
    assert main(arguments(tmp_path / 'new', **changes)) == 0
    assert str(last) == str(last_state(tmp_path / 'new'))


@pytest.mark.parametrize('image', [1, 40])
def test_a_signal_does_not_wait_for_a_batch_that_loads_for_long(
    image, finished, tmp_path, monkeypatch
):
    numbers, load = itertools.count(1), pipeline._load

    def load_slowly(*arguments):
        if next(numbers) == image:
            os.kill(os.getpid(), signal.SIGTERM)
            deadline = time.monotonic() + 30
            while not signals.seconds_since_signal() and time.monotonic() < deadline:
                time.sleep(0.01)
        return load(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, 'MOST_SECONDS', 0.0)
        patch.setattr(pipeline, '_load', load_slowly)
        assert main(arguments(tmp_path)) == 128 + signal.SIGTERM
    assert Run(tmp_path).outcome['steps_done'] < 6
    assert main(arguments(tmp_path)) == 0
    assert_same_runs(tmp_path, finished)


def test_splits_of_other_classes_are_refused(tmp_path, capsys):
    for split, name in (('train', 'a'), ('test', 'b')):
        (tmp_path / split / name).mkdir(parents=True)
        cv2.imwrite(
            str(tmp_path / split / name / '0.png'), np.zeros((8, 8, 3), np.uint8)
        )
    source = f'folder:{tmp_path}'
    assert main(arguments(tmp_path / 'run', data__source=source)) == 2
    assert 'the classes of the two splits differ' in capsys.readouterr().err


def test_a_mistake_does_not_claim_the_workdir(tmp_path):
    assert main(arguments(tmp_path, run__seed=-1)) == 2
    assert main(arguments(tmp_path, run__seed=1, run__epochs=1)) == 0


def test_a_run_has_the_same_bits_with_diagnostics_and_without(finished, tmp_path):
    assert main(arguments(tmp_path, run__diagnose_every_steps=0)) == 0
    expected = [r for r in records(finished) if r['split'] != 'diagnostics']
    assert records(tmp_path) == expected
    chex.assert_trees_all_equal(last_state(tmp_path), last_state(finished))


def test_evaluation_is_of_the_averages(finished, monkeypatch):
    from inception_jax.config.experiment import experiment
    from inception_jax.training import loop, resume

    config = json.loads((finished / 'config.json').read_text())['config']
    run = prepare(experiment(config), finished)
    state, _ = resume.start_or_resume(run)
    recorded = [r for r in records(finished) if r['split'] == 'evaluation'][-1]
    of_averages = loop.validate(run, state)
    raw = state.variables
    of_raw = loop.validate(run, dataclasses.replace(state, ema=raw))
    assert of_averages.items() <= recorded.items()
    assert of_raw['cross_entropy'] != of_averages['cross_entropy']


def test_divergence_is_a_verdict(tmp_path):
    command = arguments(tmp_path, hparams__learning_rate=1e30)
    assert main(command) == 0
    # It diverged before its first checkpoint, so the same command diverges again.
    assert not Run(tmp_path).checkpoints
    assert main(command) == 0
    verdict = json.loads((tmp_path / 'verdict.json').read_text())
    assert verdict['verdict'] == 'diverged'
    assert 1 < verdict['step'] <= verdict['steps_done'] < 96
    assert verdict['layer'].startswith(('batch statistics of', 'gradient of'))
