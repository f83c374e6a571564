"""Runs never resume from, or act on, other weights, images or settings."""

import json
import shutil

import chex
import jax
import pytest
from helpers.images import images
from helpers.training import arguments, last_state, records

from inception_jax import trained
from inception_jax.__main__ import main

SHORT = {'run__epochs': 3, 'run__checkpoint_every_epochs': 1}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('whole')
    assert main(arguments(workdir, **SHORT)) == 0
    return workdir


@pytest.fixture
def workdir(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / 'run')


READERS = {
    'evaluate': lambda run, out: ['evaluate', '--workdir', run],
    'predict': lambda run, out: ['predict', '--workdir', run, run / 'curves.png'],
    'convert': lambda run, out: ['convert', run, out / 'net.safetensors'],
    'export': lambda run, out: ['export', '--workdir', run, out / 'net.npz'],
}


@pytest.mark.parametrize('command', READERS)
def test_a_reader_refuses_a_run_without_checkpoints(command, workdir, tmp_path, capsys):
    shutil.rmtree(workdir / 'checkpoints')
    capsys.readouterr()
    assert main(list(map(str, READERS[command](workdir, tmp_path)))) == 2
    printed = capsys.readouterr().err
    assert 'has no checkpoint; restore its checkpoints' in printed
    assert printed.count('\n') == 1


@pytest.mark.parametrize('command', READERS)
def test_a_reader_refuses_an_older_checkpoint_unless_it_is_named(
    command, workdir, tmp_path, capsys
):
    shutil.rmtree(workdir / 'checkpoints' / '24' / 'state')
    line = list(map(str, READERS[command](workdir, tmp_path)))
    capsys.readouterr()
    assert main(line) == 2
    printed = capsys.readouterr().err
    assert f'{workdir}/checkpoints/24 cannot be read' in printed
    assert 'name step 16 (--step 16) to use its checkpoint' in printed
    assert printed.count('\n') == 1
    assert main([*line, '--step=16']) == 0
    assert 'step 16' in ''.join(capsys.readouterr())


def test_a_reader_refuses_a_run_whose_last_checkpoint_is_missing(workdir):
    shutil.rmtree(workdir / 'checkpoints' / '24')
    with pytest.raises(
        ValueError, match='has made 24 steps, and the checkpoint of its'
    ):
        trained(workdir)
    assert trained(workdir, step=16).metadata['step'] == 16


def test_a_step_is_computed_again_with_a_note_and_only_from_the_same_images(
    tmp_path, capsys
):
    folder, workdir = tmp_path / 'images', tmp_path / 'run'
    images(folder)
    command = arguments(workdir, data__source=f'folder:{folder}', **SHORT)
    assert main(command) == 0
    whole = trained(workdir, step=8)
    shutil.move(workdir / 'checkpoints', tmp_path / 'checkpoints')
    capsys.readouterr()
    again = trained(workdir, step=8)
    assert 'of step 8; it is computed again from step 0' in capsys.readouterr().err
    chex.assert_trees_all_equal(again.variables, whole.variables)
    # Reading creates no folder, into which a copy of the checkpoints would be nested.
    assert not (workdir / 'checkpoints').exists()
    shutil.copy(folder / 'train' / '0' / '1.png', folder / 'train' / '0' / '0.png')
    with pytest.raises(ValueError, match='so its steps cannot be computed again'):
        trained(workdir, step=8)


def test_the_output_names_the_step(workdir, capsys):
    capsys.readouterr()
    assert main(['evaluate', f'--workdir={workdir}', '--format=json']) == 0
    printed = capsys.readouterr()
    assert f'{workdir}: EMA weights of step 24' in printed.err
    assert json.loads(printed.out)['about']['step'] == 24


def test_train_refuses_a_run_without_checkpoints_and_keeps_its_results(workdir, capsys):
    before = {path.name: path.read_bytes() for path in workdir.glob('*.*')}
    shutil.rmtree(workdir / 'checkpoints')
    capsys.readouterr()
    assert main(arguments(workdir, **SHORT)) == 2
    printed = capsys.readouterr().err
    assert 'has made steps, and its checkpoints are missing' in printed
    assert printed.count('\n') == 1
    assert {path.name: path.read_bytes() for path in workdir.glob('*.*')} == before


def test_train_refuses_a_killed_run_without_checkpoints(workdir, capsys):
    shutil.rmtree(workdir / 'checkpoints')
    (workdir / 'verdict.json').unlink()
    assert main(arguments(workdir, **SHORT)) == 2
    assert 'its checkpoints are missing' in capsys.readouterr().err


def test_train_says_when_it_resumes_before_the_last_step(workdir, whole, capsys):
    shutil.rmtree(workdir / 'checkpoints' / '24')
    capsys.readouterr()
    assert main(arguments(workdir, **SHORT)) == 0
    printed = capsys.readouterr().err
    assert (
        'the run has made 24 steps, and its newest checkpoint is of step 16' in printed
    )
    assert records(workdir) == records(whole)
    assert str(last_state(workdir)) == str(last_state(whole))


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(
    workdir, whole, capsys
):
    shutil.rmtree(workdir / 'checkpoints')
    (workdir / 'checkpoints').mkdir()
    (workdir / 'verdict.json').unlink()
    assert main(arguments(workdir, **SHORT)) == 0
    assert records(workdir) == records(whole)


def test_a_run_resumes_only_with_the_numeric_settings_that_it_began_with(
    workdir, capsys
):
    with jax.default_matmul_precision('bfloat16'):
        assert main(arguments(workdir, **SHORT)) == 2
    printed = capsys.readouterr().err
    assert (
        "began with jax_default_matmul_precision=None of JAX, and here it is 'bf"
        in (printed)
    )
    assert printed.count('\n') == 1
