"""Edits of the state of a fork: what they change, what they leave, what is refused."""

import re

import jax
import numpy as np
import optax
import pytest
from helpers.training import arguments

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.lab.edits import PARTS, is_edit, state_change
from inception_jax.runs.run import Run
from inception_jax.training.states import open_run, state_at


@pytest.fixture(scope='module')
def parent(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('edited') / 'run'
    assert main(arguments(workdir, run__epochs=2)) == 0
    return workdir


@pytest.fixture(scope='module')
def run(parent):
    return open_run(parent)


@pytest.fixture(scope='module')
def state(run):
    return state_at(run, 8)


def part_of(state, part):
    buffers = {'momentum_buffer': 'trace', 'mean_square': 'nu'}
    if part in buffers:
        return optax.tree.get(state.opt_state, buffers[part])
    return getattr(state, part)


def equal(tree, other):
    leaves = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(x, y) for x, y in leaves)


@pytest.mark.parametrize(
    ('name', 'value', 'expected'),
    [
        ('momentum_buffer.logits', 0, np.zeros_like),
        ('mean_square.a', 1.0, np.ones_like),
        ('params.logits', 'zero', np.zeros_like),
    ],
)
def test_an_edit_changes_its_blocks_alone(run, state, name, value, expected):
    edited = state_change(run, {name: value})(state)
    changed, _, selector = name.partition('.')
    for part in PARTS:
        before, after = part_of(state, part), part_of(edited, part)
        assert before.keys() == after.keys()
        for block in before:
            is_edited = part == changed and block.partition('_')[0] == selector
            like = jax.tree.map(expected, before[block]) if is_edited else before[block]
            assert equal(after[block], like), (part, block)
    assert equal(edited.ema, state.ema)
    assert (int(edited.step), edited.hparams) == (int(state.step), state.hparams)


def test_initial_values_are_those_before_step_1(run, state):
    start = state_at(run, 0)
    edited = state_change(run, {'params.stem': 'init', 'batch_stats': 'init'})(state)
    assert equal(edited.params['stem'], start.params['stem'])
    assert equal(edited.batch_stats, start.batch_stats)
    assert not equal(state.batch_stats, start.batch_stats)
    assert equal(edited.params['logits'], state.params['logits'])


def test_weights_come_from_another_run_at_a_step(run, state, parent):
    edited = state_change(run, {'params.logits': f'{parent}@5'})(state)
    there = state_at(run, 5)
    assert equal(edited.params['logits'], there.params['logits'])
    assert not equal(state.params['logits'], there.params['logits'])


def test_a_fork_with_edits_trains_and_records_them(parent, tmp_path):
    edits = {'momentum_buffer': 0, 'params.logits': 'zero'}
    child = ij.fork(
        parent, 8, tmp_path / 'fork', edits=edits, rate_factors={'logits': 0.0}
    )
    assert child.lineage['changes'] == {
        'recipe.rate_factors': [None, {'logits': 0.0}],
        'momentum_buffer': [None, 0],
        'params.logits': [None, 'zero'],
    }
    first, last = (state_at(child, step) for step in (8, 16))
    assert not np.any(jax.tree.leaves(part_of(first, 'momentum_buffer'))[0])
    assert equal(
        last.params['logits'], jax.tree.map(np.zeros_like, last.params['logits'])
    )
    assert not equal(first.params['stem'], last.params['stem'])
    before = Run(parent).records('train')['loss']
    assert child.records('train')['loss'][-1] != before[-1]
    printed = ij.report([parent, child])
    assert 'momentum_buffer set to 0, params.logits set to zero' in printed


def test_the_command_has_the_same_changes(parent, tmp_path):
    folders = [f'--workdir={parent}', f'--into={tmp_path / "fork"}', '--step=8']
    sets = ['--set', 'params.logits=zero', '--set', 'rate_factors={"logits": 0.05}']
    assert main(['fork', *folders, *sets]) == 0
    assert Run(tmp_path / 'fork').lineage['changes'] == {
        'recipe.rate_factors': [None, {'logits': 0.05}],
        'params.logits': [None, 'zero'],
    }


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        ('params.c_99=init', 'params.c_99 names no block of .* expected one of stem'),
        ('params.logits=one', 'params.logits=one; expected init, zero or RUN@STEP'),
        ('params.logits=runs/none@4', 'runs/none does not exist'),
        ('batch_stats=zero', 'batch_stats=zero; expected init'),
        ('momentum_buffer=init', 'momentum_buffer=init; expected a number'),
        ('mean_square=-1', 'mean_square=-1; expected 0 or more'),
        ('optimizer=momentum', 'config.recipe.optimizer cannot change in a fork'),
    ],
)
def test_a_mistake_is_one_line(parent, tmp_path, capsys, edit, message):
    folders = [f'--workdir={parent}', f'--into={tmp_path / "fork"}', '--step=8']
    assert main(['fork', *folders, '--set', edit]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not (tmp_path / 'fork').exists()


def test_names_of_config_fields_are_no_edits():
    assert is_edit('params.stem')
    assert is_edit('momentum_buffer')
    assert not any(map(is_edit, ('momentum', 'hparams.momentum', 'rms_decay')))
