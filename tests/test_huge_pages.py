"""The command line starts itself again where that gives it huge pages."""

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inception_jax.commands import huge_pages
from inception_jax.commands.huge_pages import ASKED, SWITCH, TUNABLES

ROOT = Path(__file__).parent.parent

# Stands for `os.execve`: tells what would be started, and goes on.
WITNESS = """
import json, os, runpy, sys
from inception_jax.commands import huge_pages
os.execve = lambda *command: print(json.dumps([*command[:2], dict(command[2])]))
huge_pages.wanted = lambda environ: True
sys.argv = ['inception_jax', '--version']
runpy.run_module('inception_jax', run_name='__main__')
"""


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Returns the file in which Linux says that it gives huge pages on request."""
    monkeypatch.setattr(huge_pages, 'glibc', lambda: (2, 35))
    path = tmp_path / 'enabled'
    path.write_text('always [madvise] never\n')
    return path


def test_they_are_wanted_where_linux_gives_them_on_request(setting):
    assert huge_pages.wanted({}, setting)
    assert huge_pages.wanted({SWITCH: '1'}, setting)
    assert huge_pages.wanted({TUNABLES: 'glibc.malloc.arena_max=1'}, setting)


@pytest.mark.parametrize('said', ['[always] madvise never', 'always madvise [never]'])
def test_not_where_all_have_them_or_none(setting, said):
    setting.write_text(said)
    assert not huge_pages.wanted({}, setting)


def test_not_without_the_setting_of_linux(setting):
    assert not huge_pages.wanted({}, setting.with_name('absent'))


@pytest.mark.parametrize('version', [(), (2, 34)])
def test_not_with_a_library_that_does_not_ask(setting, monkeypatch, version):
    monkeypatch.setattr(huge_pages, 'glibc', lambda: version)
    assert not huge_pages.wanted({}, setting)


@pytest.mark.parametrize(
    'environ', [{SWITCH: '0'}, {SWITCH: ASKED}, {TUNABLES: 'glibc.malloc.hugetlb=0'}]
)
def test_not_where_the_user_or_we_have_said_a_word(setting, environ):
    assert not huge_pages.wanted(environ, setting)


def test_the_library_is_known_where_it_is_glibc():
    known = 'CS_GNU_LIBC_VERSION' in getattr(os, 'confstr_names', {})
    name = os.confstr('CS_GNU_LIBC_VERSION') if known else None
    assert bool(huge_pages.glibc()) == (name or '').startswith('glibc')


def started(**environ):
    """Returns what the command line would start, and the variables of that."""
    environ = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path), **environ}
    command = [sys.executable, '-c', WITNESS, '--flag']
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60
    )
    told, version = done.stdout.splitlines()
    assert version
    return json.loads(told)


def test_the_same_command_is_started_with_the_variables_and_all_others():
    program, command, environ = started(OTHER='kept')
    assert program == sys.executable
    assert command == [sys.executable, '-c', WITNESS, '--flag']
    assert environ[TUNABLES].endswith('glibc.malloc.hugetlb=1')
    assert environ[SWITCH] == ASKED
    assert environ['OTHER'] == 'kept'


def test_tunables_of_the_user_stay():
    *_, environ = started(**{TUNABLES: 'glibc.malloc.arena_max=1'})
    assert environ[TUNABLES] == 'glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1'


def test_the_installed_command_starts_again_too(monkeypatch):
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    (entry,) = project['scripts'].values()
    module, _, name = entry.partition(':')
    done = []
    monkeypatch.setattr(huge_pages, 'start_again', lambda: done.append('again'))
    monkeypatch.setattr(sys, 'argv', ['inception-jax', '--version'])
    with pytest.raises(SystemExit, match='0'):
        getattr(importlib.import_module(module), name)()
    assert done == ['again']


def test_importing_the_command_line_starts_nothing(monkeypatch):
    monkeypatch.setattr(os, 'execve', lambda *_: pytest.fail('started'))
    monkeypatch.setattr(huge_pages, 'wanted', lambda environ: True)
    monkeypatch.delitem(sys.modules, 'inception_jax.__main__', raising=False)
    from inception_jax.__main__ import main

    with pytest.raises(SystemExit, match='0'):
        main(['--version'])
