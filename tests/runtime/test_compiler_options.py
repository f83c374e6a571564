"""Compiler options: which ones programs get, and which ones are left to the user."""

import jax
import jax.numpy as jnp
import pytest

from inception_jax.parallel.compile import jit_for
from inception_jax.parallel.mesh import device_mesh
from inception_jax.runtime import compiler_options as module
from inception_jax.runtime.compiler_options import OPTIONS, compiler_options

SCHEDULER = 'xla_cpu_scheduler_type'


@pytest.fixture(autouse=True)
def no_flags(monkeypatch):
    monkeypatch.delenv('XLA_FLAGS', raising=False)


def test_the_installed_xla_knows_every_option_for_cpus():
    assert compiler_options('cpu') == OPTIONS['cpu']


def test_gpus_and_tpus_get_no_options():
    assert compiler_options('gpu') == compiler_options('tpu') == {}


@pytest.mark.parametrize(
    'flag', [f'--{SCHEDULER}=X', f'--{SCHEDULER}=', f'--a --{SCHEDULER}']
)
def test_an_option_that_the_user_names_is_left_to_the_user(flag, monkeypatch):
    monkeypatch.setenv('XLA_FLAGS', flag)
    assert SCHEDULER not in compiler_options('cpu')
    assert len(compiler_options('cpu')) == len(OPTIONS['cpu']) - 1


def test_a_file_of_flags_is_left_to_the_user(monkeypatch):
    monkeypatch.setenv('XLA_FLAGS', '/home/me/flags')
    assert compiler_options('cpu') == {}


@pytest.mark.parametrize('unknown', [{'xla_cpu_new': '1'}, {SCHEDULER: 'NEW'}])
def test_an_unknown_option_or_value_is_left_out(unknown, monkeypatch):
    monkeypatch.setitem(module.OPTIONS, 'cpu', unknown)
    assert compiler_options('cpu') == {}


def test_a_step_is_compiled_with_the_options():
    def step(x):
        return (x @ x).sum()

    x = jnp.ones((64, 64))
    compiled, same = (
        jitted.lower(x).compile()
        for jitted in (
            jit_for(device_mesh(1), step),
            jax.jit(step, compiler_options=OPTIONS['cpu']),
        )
    )
    assert compiled.as_text() == same.as_text()
    assert float(compiled(x)) == 64.0**3
