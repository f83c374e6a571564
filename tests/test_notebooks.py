"""The notebooks of the docs, and the first code of two pages, run as they stand.

Every value of a notebook shows itself.
"""

import re
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


@pytest.mark.slow
@pytest.mark.parametrize('page', ['python.md', 'quickstart.md'])
def test_the_first_python_code_of_a_page_runs(page, tmp_path):
    text = (ROOT / 'docs' / page).read_text()
    result = subprocess.run(
        [sys.executable, '-c', re.search(r'```python\n(.*?)```', text, re.S)[1]],
        cwd=tmp_path,
        env=environment() | USUAL | {'TMPDIR': str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
