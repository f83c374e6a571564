"""The cache of compiled programs: its folder, its switches and its size limit."""

import os
import subprocess
import sys

import pytest

from inception_jax.runtime import compilation_cache

FOLDER, SECONDS = (
    'JAX_COMPILATION_CACHE_DIR',
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS',
)


@pytest.fixture(autouse=True)
def jax_is_not_told(monkeypatch):
    monkeypatch.delitem(sys.modules, 'jax')


def kept(**environ):
    compilation_cache.enable_cache(environ)
    return environ


def test_the_folder_is_of_the_user_the_version_and_the_machine(tmp_path):
    variables = kept(XDG_CACHE_HOME=str(tmp_path))
    (folder,) = (tmp_path / 'inception_jax').iterdir()
    assert variables[FOLDER] == str(folder)
    assert folder.name.startswith('xla-')
    assert folder.name.endswith(compilation_cache.machine_digest())
    assert float(variables[SECONDS]) < 1


def test_without_a_folder_for_caches_it_is_in_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert kept()[FOLDER].startswith(f'{tmp_path}/.cache/inception_jax/')


@pytest.mark.parametrize(
    'variables',
    [
        {FOLDER: '/mine'},
        {FOLDER: ''},
        {'JAX_ENABLE_COMPILATION_CACHE': 'false'},
        {'JAX_ENABLE_COMPILATION_CACHE': '0'},
    ],
)
def test_settings_of_the_user_are_kept(variables, tmp_path):
    variables |= {'XDG_CACHE_HOME': str(tmp_path)}
    assert kept(**variables) == variables
    assert list(tmp_path.iterdir()) == []


def test_the_users_least_time_stays(tmp_path):
    assert kept(XDG_CACHE_HOME=str(tmp_path), **{SECONDS: '7'})[SECONDS] == '7'


def test_no_cache_is_set_if_its_folder_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    variables = {'XDG_CACHE_HOME': str(tmp_path / 'file')}
    assert kept(**variables) == variables


def test_machines_that_can_do_other_things_have_other_folders(tmp_path):
    def digest(text):
        (tmp_path / 'cpuinfo').write_text(text)
        return compilation_cache.machine_digest(tmp_path / 'cpuinfo')

    first = 'processor\t: 0\ncpu MHz\t: {}\nflags\t\t: fpu avx {}\n\n'
    reference = digest(first.format(2000, 'avx2'))
    assert digest(first.format(3000, 'avx2') + 'processor\t: 1') == reference
    assert digest(first.format(2000, 'avx512f')) != reference
    assert compilation_cache.machine_digest(tmp_path / 'none') != reference


def test_the_least_recently_used_programs_are_removed_first(tmp_path):
    for place, name in enumerate(('old/used_again', 'old/unused', 'new/last')):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (place, place))
    os.utime(tmp_path / 'old' / 'used_again', (9, 0))
    compilation_cache.trim_cache(tmp_path, most=300)
    assert len([*tmp_path.glob('*/*')]) == 3
    compilation_cache.trim_cache(tmp_path, most=250)
    assert sorted(p.name for p in tmp_path.glob('*/*')) == ['last', 'used_again']


@pytest.mark.parametrize('first', ['', 'import jax; '])
def test_jax_uses_the_cache_also_if_it_is_imported_already(first, tmp_path):
    code = (
        f'{first}import os; from inception_jax.runtime import compilation_cache; '
        'compilation_cache.enable_cache(os.environ); import jax; '
        'print(jax.config.jax_compilation_cache_dir, '
        'jax.config.jax_persistent_cache_min_compile_time_secs)'
    )
    names = os.environ | {'XDG_CACHE_HOME': str(tmp_path)}
    del names[FOLDER]
    names.pop(SECONDS, None)
    completed = subprocess.run(
        [sys.executable, '-c', code], env=names, capture_output=True, text=True
    )
    folder = compilation_cache.cache_folder(names)
    assert completed.stdout == f'{folder} {compilation_cache.LEAST_SECONDS}\n', (
        completed.stderr
    )
