"""Memory that compiling leaves is given back before the first step needs memory."""

import os
import subprocess
import sys
import types

import jax
import pytest
from helpers.training import arguments

from inception_jax.__main__ import main
from inception_jax.runtime import allocator, memory


@pytest.fixture
def trims(monkeypatch):
    """Returns a list that grows with each time that memory is given back."""
    calls = []
    monkeypatch.setattr(memory, 'trim_memory', lambda: calls.append('trim'))
    return calls


def compile_new(number):
    jax.jit(lambda x: x + number).lower(1.0).compile()


def test_memory_is_given_back_after_a_long_compilation(trims, monkeypatch):
    monkeypatch.setattr(memory, 'LEAST_SECONDS', 0.0)
    with memory.trimmed_memory():
        compile_new(1)
        compile_new(2)
    assert len(trims) == 2
    compile_new(3)
    assert len(trims) == 2


def test_training_gives_back_what_compiling_took(trims, monkeypatch, tmp_path):
    monkeypatch.setattr(memory, 'LEAST_SECONDS', 0.0)
    jax.clear_caches()  # Or another test's program would do, without compiling.
    assert main(arguments(tmp_path, run__epochs=1)) == 0
    assert trims


def test_not_after_a_short_one(trims, monkeypatch):
    monkeypatch.setattr(memory, 'LEAST_SECONDS', 1e6)
    with memory.trimmed_memory():
        compile_new(4)
    assert not trims


def test_the_allocator_is_asked_to_give_back_all_that_is_free(monkeypatch):
    calls = []
    library = types.SimpleNamespace(
        malloc_trim=calls.append, mallctl=lambda name, *_: calls.append(name)
    )
    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda _: library)
    memory.trim_memory()
    assert calls == [0, b'arena.4096.purge']


def test_one_that_cannot_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda _: object())
    memory.trim_memory()
    assert memory.jemalloc_version() is None


# Frees 400 MB; prints the MiB that left the process, and the version of jemalloc.
FREED = """
import numpy as np
from inception_jax.runtime import memory

def resident():
    status = open('/proc/self/status').read()
    return int(status.split('VmRSS:')[1].split()[0]) >> 10

numbers = np.ones(10**8, np.float32)
del numbers
before = resident()
memory.trim_memory()
print(before - resident(), memory.jemalloc_version())
"""


def test_jemalloc_gives_back_what_is_free():
    if not (library := allocator.jemalloc()):
        pytest.skip('jemalloc is not installed')
    variables = {
        allocator.PRELOAD: library,
        allocator.JEMALLOC: allocator.JEMALLOC_OPTIONS,
        'PYTHONPATH': os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, '-c', FREED],
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )
    freed, version = done.stdout.split()
    assert int(freed) > 300
    assert version[0].isdigit()
