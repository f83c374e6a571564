"""The start of a command: its imports, its compilations and its progress lines."""

import dataclasses
import os
import re
import subprocess
import sys
import time

import chex
import jax
import numpy as np
import pytest
from helpers.steps import RECIPE, hparams
from helpers.tiny import NET

from inception_jax.parallel.mesh import device_mesh, distribute, sharded_shapes
from inception_jax.runtime.memory import COMPILED
from inception_jax.steps.optimizers import optimizer
from inception_jax.steps.state import initial_state
from inception_jax.training.programs import compiled_names
from inception_jax.training.progress import ProgressBar


def imported(code):
    """Returns the packages that a new process has imported after some code."""
    code += '; import sys; print(*sorted({n.split(".")[0] for n in sys.modules}))'
    completed = subprocess.run(
        [sys.executable, '-c', code], env=os.environ, capture_output=True, text=True
    )
    assert completed.returncode == 0, completed.stderr
    return set(completed.stdout.split())


def test_the_library_is_imported_without_jax():
    heavy = {'jax', 'jaxlib', 'numpy', 'flax', 'orbax', 'grain', 'tqdm'}
    assert not imported('import inception_jax') & heavy


def test_the_command_line_is_imported_without_jax():
    heavy = {'jax', 'jaxlib', 'numpy', 'flax', 'orbax', 'grain'}
    assert not imported('import inception_jax.__main__') & heavy


def test_a_run_on_digits_begins_without_what_it_does_not_need():
    late = {'sklearn', 'matplotlib', 'plotly', 'tensorflow_datasets'}
    code = (
        'from inception_jax.training import prepare, run; '
        'prepare.open_source("digits", "train")'
    )
    assert not imported(code) & late


@pytest.mark.parametrize('kind', ['rmsprop', 'momentum'])
def test_an_optimizer_starts_as_optax_says(kind):
    recipe = dataclasses.replace(RECIPE, optimizer=kind)
    state = initial_state(NET, recipe, hparams(), seed=0)
    expected = optimizer(hparams(), recipe, 0.0).init(state.params)
    chex.assert_trees_all_equal_shapes_and_dtypes(state.opt_state, expected)
    chex.assert_trees_all_equal(state.opt_state, expected)


def test_a_state_is_made_and_placed_by_few_programs():
    with compiled_names() as names:
        state = initial_state(NET, RECIPE, hparams(), seed=1)
        distribute(state, device_mesh())
    # Those of a key and of two numbers; none for each shape.
    assert len(names) < 8


def test_shapes_are_those_of_what_is_spread():
    mesh = device_mesh(2)
    tree = {'kernel': np.zeros((512, 256), np.float32), 'key': jax.random.key(0)}
    for like, x in zip(
        jax.tree.leaves(sharded_shapes(tree, mesh)),
        jax.tree.leaves(distribute(tree, mesh)),
        strict=True,
    ):
        assert (like.shape, like.dtype) == (x.shape, x.dtype)
        assert like.sharding.is_equivalent_to(x.sharding, x.ndim)


def test_progress_says_that_a_step_compiles_and_how_long_it_took(capsys, monkeypatch):
    monkeypatch.setattr(time, 'monotonic', lambda: 1000.0)
    progress = ProgressBar(9, 2, 8, lines=True, began=900.0)
    for seconds in (7.0, 5.0):
        progress.before_step()
        jax.monitoring.record_event_duration_secs('/jax/another', 3.0)
        jax.monitoring.record_event_duration_secs(COMPILED, seconds)
        progress.after_step([])
    progress.close()
    pattern = r'compiling the train step \.\.\.\nfirst step after 100\.0 s '
    assert re.fullmatch(rf'{pattern}\(compiled in 7\.0 s\)\n', capsys.readouterr().out)


def test_without_lines_nothing_is_printed(capsys):
    progress = ProgressBar(9, 0, 8, lines=False)
    progress.before_step()
    progress.after_step([])
    progress.close()
    assert capsys.readouterr().out == ''


def test_a_first_step_that_fails_leaves_no_listener(monkeypatch):
    listeners, monitoring = [], jax.monitoring
    for name, function in (
        ('register_event_duration_secs_listener', listeners.append),
        ('unregister_event_duration_listener', listeners.remove),
    ):
        monkeypatch.setattr(monitoring, name, function)
    progress = ProgressBar(9, 0, 8, lines=False)
    progress.before_step()
    progress.close()
    assert listeners == []
