"""The campaign of kills, in short: runs survive, and a difference is detected."""

import runpy
import shutil
import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.training import arguments

from inception_jax.__main__ import main

SCRIPT = ROOT / 'benchmarks' / 'kills.py'


@pytest.mark.slow
def test_a_run_survives_a_kill_of_each_kind():
    command = [sys.executable, SCRIPT, '--kills=3', '--epochs=3']
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert '3 kills survived: 1 while it saved, 1 while it started' in completed.stdout
    assert 'the run is bit-identical to an uninterrupted run' in completed.stdout


def test_another_seed_and_a_double_record_are_differences(tmp_path):
    compare = runpy.run_path(str(SCRIPT))['compare']
    run, other = tmp_path / 'one', tmp_path / 'other'
    assert main(arguments(run, run__epochs=1)) == 0
    assert main(arguments(other, run__epochs=1, run__seed=1)) == 0
    assert set(compare(run, other)) >= {'records', 'params', 'opt_state', 'ema', 'key'}
    shutil.rmtree(other)
    shutil.copytree(run, other)
    assert compare(run, other) == []
    records = run / 'metrics.jsonl'
    lines = records.read_text().splitlines(keepends=True)
    records.write_text(''.join([*lines, lines[-1]]))
    assert compare(run, other) == ['records', 'records are repeated']
