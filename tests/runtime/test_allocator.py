"""The command line starts itself again where that gives it a better allocator."""

import importlib
import json
import os
import subprocess
import sys
import tomllib

import pytest
from helpers.paths import ROOT

from inception_jax.runtime import allocator
from inception_jax.runtime.allocator import GLIBC, JEMALLOC, PRELOAD, RESTARTED, SWITCH

# Replaces `os.execve`: prints the command that it would start, and continues.
WITNESS = """
import json, os, runpy, sys
from inception_jax.runtime import allocator
os.execve = lambda *command: print(json.dumps([*command[:2], dict(command[2])]))
allocator.allocator_variables = lambda environ: {'MORE': 'memory'}
sys.argv = ['inception_jax', '--version']
runpy.run_module('inception_jax', run_name='__main__')
"""


@pytest.fixture
def setting(tmp_path, monkeypatch):
    """Returns the file in which Linux says that it gives huge pages on request."""
    path = tmp_path / 'enabled'
    path.write_text('always [madvise] never\n')
    monkeypatch.setattr(allocator, 'SETTING', path)
    return path


@pytest.fixture
def with_jemalloc(monkeypatch, setting):
    monkeypatch.setattr(allocator, 'jemalloc', lambda: 'libjemalloc.so.2')


@pytest.fixture
def without_jemalloc(monkeypatch, setting):
    monkeypatch.setattr(allocator, 'jemalloc', lambda: None)
    monkeypatch.setattr(allocator, 'glibc', lambda: (2, 35))


def test_jemalloc_is_taken_where_it_is_and_keeps_memory(with_jemalloc):
    variables = allocator.allocator_variables({})
    assert variables[PRELOAD] == 'libjemalloc.so.2'
    assert 'dirty_decay_ms:-1' in variables[JEMALLOC]
    assert 'narenas:1' in variables[JEMALLOC]
    assert GLIBC not in variables


@pytest.mark.parametrize('said', ['[always] madvise never', 'always madvise [never]'])
def test_jemalloc_asks_for_no_huge_pages_where_all_have_them_or_none(
    with_jemalloc, setting, said
):
    assert 'thp:always' in allocator.allocator_variables({})[JEMALLOC]
    setting.write_text(said)
    assert 'thp' not in allocator.allocator_variables({})[JEMALLOC]


@pytest.mark.parametrize('said', ['[always] madvise never', 'always madvise [never]'])
def test_nor_does_the_c_library(without_jemalloc, setting, said):
    setting.write_text(said)
    assert allocator.allocator_variables({}) == {}


def test_the_c_library_stands_in_for_it_and_keeps_its_other_tunables(without_jemalloc):
    assert allocator.allocator_variables({}) == {GLIBC: 'glibc.malloc.hugetlb=1'}
    environment = {GLIBC: 'glibc.malloc.arena_max=1'}
    assert allocator.allocator_variables(environment) == {
        GLIBC: 'glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1'
    }
    assert allocator.allocator_variables({GLIBC: 'glibc.malloc.hugetlb=0'}) == {}


@pytest.mark.parametrize('version', [(), (2, 34)])
def test_not_a_c_library_that_does_not_ask(without_jemalloc, monkeypatch, version):
    monkeypatch.setattr(allocator, 'glibc', lambda: version)
    assert allocator.allocator_variables({}) == {}


def test_not_without_the_setting_of_linux(without_jemalloc, setting):
    setting.unlink()
    assert allocator.allocator_variables({}) == {}


@pytest.mark.parametrize(
    'environ', [{SWITCH: '0'}, {SWITCH: RESTARTED}, {PRELOAD: 'x'}]
)
def test_nothing_is_changed_where_the_user_or_we_have_said_a_word(
    with_jemalloc, environ
):
    assert allocator.allocator_variables(environ) == {}


def test_settings_of_jemalloc_of_the_users_own_stay_his(with_jemalloc, monkeypatch):
    monkeypatch.setattr(allocator, 'glibc', lambda: ())
    assert allocator.allocator_variables({JEMALLOC: 'narenas:1'}) == {}


def test_a_peer_gets_the_variables_without_what_we_added():
    added = {PRELOAD: 'libjemalloc.so.2', JEMALLOC: 'thp:always', SWITCH: RESTARTED}
    assert allocator.without_jemalloc({'OTHER': 'kept', **added}) == {
        'OTHER': 'kept',
        SWITCH: RESTARTED,
    }
    for environment in (
        {PRELOAD: 'his.so', JEMALLOC: 'his'},
        {SWITCH: RESTARTED, JEMALLOC: 'his'},
    ):
        assert allocator.without_jemalloc(environment) == environment


def test_jemalloc_is_not_looked_for_where_pages_are_large(monkeypatch, tmp_path):
    library = 'libjemalloc.so.2'
    monkeypatch.setattr(allocator.ctypes.util, 'find_library', lambda name: library)
    monkeypatch.setattr(allocator.sys, 'platform', 'linux')
    monkeypatch.setattr(allocator.sys, 'prefix', str(tmp_path))
    for size, expected in ((4096, library), (65536, None)):
        monkeypatch.setattr(allocator.os, 'sysconf', lambda _, size=size: size)
        assert allocator.jemalloc() == expected


@pytest.mark.parametrize(
    ('name', 'taken'), [('env', True), ('my env', False), ('a:b', False)]
)
def test_that_of_the_environment_of_python_comes_first(
    monkeypatch, tmp_path, name, taken
):
    # The loader would split a path with a space or a colon, so it is not used.
    monkeypatch.setattr(allocator.sys, 'platform', 'linux')
    monkeypatch.setattr(allocator.os, 'sysconf', lambda _: 4096)
    monkeypatch.setattr(allocator.sys, 'prefix', str(tmp_path / name))
    # An older version is not taken either.
    older = 'libjemalloc.so.1'
    monkeypatch.setattr(allocator.ctypes.util, 'find_library', lambda name: older)
    path = tmp_path / name / 'lib' / 'libjemalloc.so.2'
    path.parent.mkdir(parents=True)
    path.touch()
    assert allocator.jemalloc() == (str(path) if taken else None)


def test_the_c_library_is_known_where_it_is_glibc():
    known = 'CS_GNU_LIBC_VERSION' in getattr(os, 'confstr_names', {})
    name = os.confstr('CS_GNU_LIBC_VERSION') if known else None
    assert bool(allocator.glibc()) == (name or '').startswith('glibc')


def test_the_same_command_is_started_with_the_variables_and_all_others():
    paths = {'PYTHONPATH': os.pathsep.join(sys.path), 'OTHER': 'kept'}
    command = [sys.executable, '-c', WITNESS, '--flag']
    done = subprocess.run(
        command, env=os.environ | paths, capture_output=True, text=True
    )
    printed, version = done.stdout.splitlines()
    assert version
    program, again, environ = json.loads(printed)
    assert program == sys.executable
    assert again == command
    added = {'MORE': 'memory', SWITCH: RESTARTED, 'OTHER': 'kept'}
    assert added.items() <= environ.items()


def test_the_installed_command_starts_again_too(monkeypatch):
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']
    (entry,) = project['scripts'].values()
    module, _, name = entry.partition(':')
    done = []
    monkeypatch.setattr(
        allocator, 'restart_with_jemalloc', lambda: done.append('again')
    )
    monkeypatch.setattr(sys, 'argv', ['inception-jax', '--version'])
    with pytest.raises(SystemExit, match='0'):
        getattr(importlib.import_module(module), name)()
    assert done == ['again']


def test_importing_the_command_line_starts_nothing(monkeypatch):
    monkeypatch.setattr(os, 'execve', lambda *_: pytest.fail('started'))
    monkeypatch.setattr(
        allocator, 'allocator_variables', lambda environ: {'MORE': 'memory'}
    )
    monkeypatch.delitem(sys.modules, 'inception_jax.__main__', raising=False)
    from inception_jax.__main__ import main

    with pytest.raises(SystemExit, match='0'):
        main(['--version'])


def test_a_system_without_temporary_files_has_no_jemalloc(monkeypatch):
    def no_place(name):
        raise FileNotFoundError(2, 'No usable temporary directory found')

    monkeypatch.setattr('ctypes.util.find_library', no_place)
    monkeypatch.setattr(sys, 'prefix', '/nowhere')
    assert allocator.jemalloc() is None
