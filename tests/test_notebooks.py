"""The notebooks of the docs run from top to bottom, and every value shows itself."""

import subprocess
import sys

import pytest
from helpers.paths import ROOT
from helpers.training import environment

# As a user executes a notebook: optimised programs on one device.
USUAL = {'XLA_FLAGS': '', 'JAX_NUM_CPU_DEVICES': '1'}
NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.py'))


@pytest.mark.slow
@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, tmp_path):
    result = subprocess.run(
        [sys.executable, ROOT / 'tests' / 'helpers' / 'notebook.py', path],
        cwd=tmp_path,
        env=environment() | USUAL | {'TMPDIR': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
