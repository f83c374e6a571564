"""Flags of XLA: what commands add, and what they leave to the user."""

import os
import subprocess
import sys

import pytest

from inception_jax.runtime import xla_flags

FLAG = '--xla_cpu_new=SOME_TYPE'
# A library: bytes, and names that end with a zero among them.
CONTENT = b'\x7fELF\x00help of\x00xla_cpu_new\x00\xff\x00SOME_TYPE\x00xla_number\x00'


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Returns the path of the one library that is installed."""
    path = tmp_path / 'libjax_common.so'
    path.write_bytes(CONTENT)
    monkeypatch.setattr(xla_flags, 'FLAGS', {'cpu': (FLAG,), 'gpu': ()})
    monkeypatch.setattr(xla_flags, 'libraries', lambda: [path])
    return path


def added(**environ):
    xla_flags.add_flags(environ)
    return environ.get('XLA_FLAGS')


def test_a_flag_is_added_where_the_library_knows_it(library):
    assert added() == FLAG
    assert added(XLA_FLAGS='--other=1 ') == f'{FLAG} --other=1'


def test_adding_again_changes_nothing(library):
    assert added(XLA_FLAGS=added()) == FLAG


@pytest.mark.parametrize(
    'given', ['--xla_cpu_new=OTHER', '--xla_cpu_new=', '--a=1 --xla_cpu_new']
)
def test_a_flag_that_the_user_names_is_the_users(library, given):
    assert added(XLA_FLAGS=given) == given


def test_a_file_of_flags_is_left_alone(library):
    assert added(XLA_FLAGS='/home/me/flags') == '/home/me/flags'


@pytest.mark.parametrize('missing', [b'xla_cpu_new', b'SOME_TYPE'])
def test_an_unknown_flag_or_value_is_not_passed(library, missing):
    library.write_bytes(CONTENT.replace(missing, b'another'))
    assert added() is None


def test_every_xla_that_is_installed_must_know_a_flag(library, monkeypatch):
    plugin = library.with_name('plugin.so')
    plugin.write_bytes(b'another')
    monkeypatch.setattr(xla_flags, 'libraries', lambda: [library, plugin])
    assert added() is None


def test_a_library_that_cannot_be_read_knows_no_flag(library):
    library.write_bytes(b'')
    assert added() is None


def test_without_a_library_nothing_is_added(library, monkeypatch):
    monkeypatch.setattr(xla_flags, 'libraries', list)
    assert added() is None


def test_numbers_need_no_name_in_a_library(library):
    assert xla_flags.library_knows(library, '--xla_number=17')
    assert not xla_flags.library_knows(library, '--xla_other_number=17')


def test_the_library_of_a_package_or_plugin_is_its_largest_file(tmp_path, monkeypatch):
    for path, size in (
        ('one_xla/lib.so', 9),
        ('one_xla/small.so', 2),
        ('jax_plugins/of_cuda/plugin.so', 5),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bytes(size))
    (tmp_path / 'one_xla' / '__init__.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'jax_plugins', raising=False)
    found = xla_flags.libraries(['one_xla', 'not_there', 'jax_plugins'])
    assert tmp_path / 'one_xla' / 'lib.so' in found
    assert tmp_path / 'jax_plugins' / 'of_cuda' / 'plugin.so' in found


def test_the_installed_xla_takes_what_is_added():
    environ = {n: x for n, x in os.environ.items() if n != 'XLA_FLAGS'}
    xla_flags.add_flags(environ)
    code = 'import jax; print(jax.numpy.ones(3) @ jax.numpy.ones(3))'
    found = subprocess.run(
        [sys.executable, '-c', code], env=environ, capture_output=True, text=True
    )
    assert found.stdout == '3.0\n', found.stderr
