"""Runs in every mode, from the command line to the records."""

import json
import subprocess
import sys

import jax
import pytest
from helpers.sweeps import approximately
from helpers.training import arguments, environment, records

from inception_jax.__main__ import main
from inception_jax.parallel.mesh import Parallel, check_processes, device_mesh
from inception_jax.training import prepare

RUN = {
    'run__epochs': 3,
    'run__log_every_steps': 4,
    'run__evaluate_every_epochs': 1,
    'hparams__learning_rate': 0.001,
}


@pytest.fixture(scope='module')
def by_jit(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('jit')
    assert main(arguments(workdir, **RUN)) == 0
    return workdir


@pytest.mark.parametrize('mode', ['shard_map', 'pmap'])
def test_a_run_may_resume_in_another_mode(mode, by_jit, tmp_path, capsys):
    assert main(arguments(tmp_path, **RUN | {'run__epochs': 1})) == 0
    assert main(arguments(tmp_path, **RUN, parallel__mode=mode)) == 0
    assert 'resuming from step 8' in capsys.readouterr().out
    for record, other in zip(records(tmp_path), records(by_jit), strict=True):
        if record['split'] != 'diagnostics':
            assert record == {n: approximately(x) for n, x in other.items()}


def test_batch_norm_per_device_belongs_to_a_number_of_devices(
    tmp_path, monkeypatch, capsys
):
    per_device = {'parallel__mode': 'shard_map', 'parallel__batch_norm': 'per_device'}
    assert main(arguments(tmp_path / 'own', run__epochs=1, **per_device)) == 0
    assert main(arguments(tmp_path / 'all', run__epochs=1)) == 0
    two = jax.devices()[:2]
    monkeypatch.setattr(prepare, 'device_mesh', lambda count: device_mesh(count, two))
    capsys.readouterr()
    assert main(arguments(tmp_path / 'own', run__epochs=2, **per_device)) == 2
    printed = capsys.readouterr().err
    assert 'has batch statistics of 4 parts of a batch' in printed
    assert printed.count('\n') == 1
    assert main(arguments(tmp_path / 'all', run__epochs=2)) == 0


def test_devices_that_cannot_start_are_reported(tmp_path):
    completed = subprocess.run(
        [sys.executable, '-m', 'inception_jax', *arguments(tmp_path / 'run')],
        env=environment() | {'JAX_PLATFORMS': 'none'},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert 'JAX cannot start its devices' in completed.stderr
    assert completed.stderr.count('\n') == 1


def test_pmap_is_of_one_process(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    with pytest.raises(ValueError, match='use shard_map, which computes the same'):
        check_processes(Parallel('pmap'))
    check_processes(Parallel('shard_map'))


def test_a_config_from_before_modes_existed_resumes(tmp_path):
    """Fields that an older config lacks get the behaviour of that version."""
    assert main(arguments(tmp_path, run__epochs=1)) == 0
    path = tmp_path / 'config.json'
    recorded = json.loads(path.read_text())
    del recorded['config']['parallel'], recorded['replicas']
    for field in ('accumulation', 'remat', 'skip_non_finite'):
        del recorded['config']['recipe'][field]
    path.write_text(json.dumps(recorded))
    assert main(['train', f'--workdir={tmp_path}']) == 0
    assert main(arguments(tmp_path, run__epochs=2)) == 0
    assert main(arguments(tmp_path, recipe__accumulation=2)) == 2
