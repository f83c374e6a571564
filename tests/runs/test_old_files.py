"""Files that an older version wrote are read (see tests/old_files/make.py)."""

import csv
import json
import runpy
import shutil

import jax
import jax.export
import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.training import arguments, records
from safetensors.numpy import load_file

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.evaluation import evaluate
from inception_jax.evaluation.probabilities import load_probabilities
from inception_jax.training.states import trained_run

FILES = ROOT / 'tests' / 'old_files'
EXPECTED = json.loads((FILES / 'expected.json').read_text())
FIELDS = runpy.run_path(str(FILES / 'make.py'))['FIELDS']


@pytest.fixture
def workdir(tmp_path):
    """Returns a copy of the run, with its checkpoint."""
    folder = shutil.copytree(FILES / 'run', tmp_path / 'run')
    shutil.unpack_archive(folder / 'checkpoints.zip', folder)
    (folder / 'checkpoints.zip').unlink()
    return folder


def train(workdir, **changes):
    network = {'network__name': 'inception_resnet_v1', 'network__input_size': 75}
    fields = {name.replace('.', '__'): value for name, value in FIELDS.items()}
    return main(arguments(workdir, **network | fields | changes))


def test_a_run_is_read(workdir):
    run = ij.run(workdir)
    assert run.network == 'inception_resnet_v1'
    assert run.class_names == ('0', '1', '2', '3')
    assert run.checkpoints == [16]
    assert run.verdict.verdict == 'alive'
    assert run.records('train')['step'].tolist() == [4, 8, 12, 16]
    assert set(run.records('diagnostics')['step']) == {16}
    assert run.records('evaluation')['top_1_error'][-1] == 56.25


def test_a_finished_run_stays_finished(workdir, capsys):
    before = records(workdir)
    assert train(workdir) == 0
    assert '16 of 16' in capsys.readouterr().out
    assert records(workdir) == before


def test_a_run_is_resumed_with_the_numbers_of_the_old_code(workdir):
    before, expected = records(workdir), EXPECTED['steps 17 to 24']
    assert train(workdir, run__epochs=3, run__diagnose_first_steps=0) == 0
    after = records(workdir)
    assert after[: len(before)] == before
    for new, old in zip(after[len(before) :], expected, strict=True):
        assert new.pop('split') == old['split']
        for name in new.keys() & old.keys():
            assert new[name] == pytest.approx(old[name], 1e-4), name


def test_a_run_is_evaluated_with_the_errors_of_the_old_code(workdir, tmp_path, capsys):
    old = load_probabilities(workdir / 'probabilities-1.npz')
    path = tmp_path / 'new.npz'
    command = ['evaluate', f'--workdir={workdir}', f'--output={path}', '--format=json']
    assert main(command) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed['about'].pop('images')['images'] == 64
    assert printed == EXPECTED['errors']
    new = load_probabilities(path)
    assert new.ids.tolist() == old.ids.tolist()
    np.testing.assert_array_equal(new.labels, old.labels)
    np.testing.assert_allclose(new.softmax, old.softmax, atol=1e-5)


def test_a_file_of_probabilities_is_not_computed_again(workdir, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, 'compute_probabilities', None)
    assert main(['evaluate', f'--workdir={workdir}', '--format=json']) == 0
    assert json.loads(capsys.readouterr().out) == EXPECTED['errors']


def test_a_fork_knows_its_run(workdir):
    fork = ij.run(shutil.copytree(FILES / 'fork', workdir.with_name('fork')))
    assert fork.lineage['step'] == 8
    assert fork.lineage['changes'] == {'hparams.residual_scale': [None, 0.3]}
    assert fork.records('train')['step'].tolist() == [4, 8, 12, 16]
    assert 'fork alive' in ij.report([workdir, fork.workdir])


def test_a_sweep_has_its_table(tmp_path):
    old = (FILES / 'sweep' / 'table.csv').read_text()
    folder = shutil.copytree(FILES / 'sweep', tmp_path / 'sweep')
    assert main(['sweep', f'--workdir={folder}']) == 0
    lines = list(csv.DictReader(old.splitlines()))
    with (folder / 'table.csv').open(newline='') as file:
        now = [{name: row[name] for name in lines[0]} for row in csv.DictReader(file)]
    assert now == lines
    for row, line in zip(ij.read_sweep(folder).table(), lines, strict=True):
        assert row['member'] == line['member']
        assert row['top_1_error'] == float(line['top_1_error'])


def test_a_weight_file_has_the_numbers_of_its_run(workdir):
    weights = ij.load_weights(FILES / 'net.safetensors')
    run = trained_run(workdir)
    assert weights.network == run.network
    jax.tree.map(np.testing.assert_array_equal, weights.variables, run.variables)
    arrays = load_file(FILES / 'net.safetensors')
    assert len(arrays) == len(jax.tree.leaves(weights.variables))
    kernel = arrays['params/stem/conv0/kernel']
    loaded = weights.variables['params']['stem']['conv0']['kernel']
    np.testing.assert_array_equal(loaded, kernel)


def test_an_exported_program_computes_what_it_computed():
    with np.load(FILES / 'net.npz') as file:
        program = jax.export.deserialize(bytearray(file['program']))
        weights = {name: file[name] for name in file.files if '/' in name}
    images = np.random.default_rng(0).integers(256, size=(2, 75, 75, 3), dtype='uint8')
    logits = jax.jit(program.call)(weights, images)
    np.testing.assert_allclose(logits, EXPECTED['logits'], rtol=1e-5, atol=1e-5)
