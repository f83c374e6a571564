"""The campaign of kills, in short: it survives them, and would tell a difference."""

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
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert '3 kills survived: 1 while it saved, 1 while it started' in found.stdout
    assert 'the run is bit-identical to an uninterrupted run' in found.stdout


def test_another_seed_and_a_double_record_are_differences(tmp_path):
    compare = runpy.run_path(str(SCRIPT))['compare']
    one, other = tmp_path / 'one', tmp_path / 'other'
    assert main(arguments(one, run__epochs=1)) == 0
    assert main(arguments(other, run__epochs=1, run__seed=1)) == 0
    assert set(compare(one, other)) >= {'records', 'params', 'opt_state', 'ema', 'key'}
    shutil.rmtree(other)
    shutil.copytree(one, other)
    assert compare(one, other) == []
    records = one / 'metrics.jsonl'
    lines = records.read_text().splitlines(keepends=True)
    records.write_text(''.join([*lines, lines[-1]]))
    assert compare(one, other) == ['records', 'records are repeated']
