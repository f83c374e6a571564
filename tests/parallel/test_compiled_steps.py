"""The compiled steps over several devices against one, in every mode."""

import dataclasses
import functools
import os
import subprocess
import sys

import chex
import jax
import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.steps import DISTORT, RECIPE, batch, begin, evaluate
from helpers.tiny import NET

from inception_jax.model.classifier import Classifier
from inception_jax.parallel import mesh as parallel
from inception_jax.parallel.compile import compile_evaluation, compile_step
from inception_jax.parallel.members import (
    compile_for_members,
    member_mesh,
    place_members,
)
from inception_jax.parallel.mesh import (
    MODES,
    Parallel,
    check_batch_size,
    device_mesh,
    distribute,
    keep_pace,
    put_batch,
)
from inception_jax.stability.diagnostics import diagnose
from inception_jax.steps.train_step import train_step

GLOBAL = [Parallel(mode) for mode in MODES]
PER_DEVICE = [Parallel(mode, 'per_device') for mode in ('shard_map', 'pmap')]
SLOW = [pytest.param(count, marks=pytest.mark.slow) for count in (1, 2)]
# A program of its own.
CALLED = """
import jax
import jax.numpy as jnp
from inception_jax.runtime import memory

memory.compute_where_called()
long = jax.jit(lambda x: jax.lax.fori_loop(0, 30, lambda _, x: x @ x / 1000, x))
print(long(jnp.ones((1000, 1000))).is_ready())
"""
COUNTS = (*SLOW, 4) if jax.device_count() < 8 else (8,)


def mesh_of(count, parameter_devices=1):
    if count > jax.device_count():
        pytest.skip(f'needs {count} devices')
    return device_mesh(parameter_devices, jax.devices()[:count])


def parts(how, recipe=RECIPE):
    classifier = Classifier(
        NET, recipe.batch_norm_decay, batch_norm_axis=how.batch_norm_axis
    )
    common = {'classifier': classifier, 'augment': DISTORT}
    step = functools.partial(train_step, recipe=recipe, **common)
    return step, functools.partial(diagnose, recipe=recipe, **common)


def train(how, mesh, *, recipe=RECIPE, order=slice(None)):
    """Returns all that one step and three steps leave behind."""
    step = compile_step(parts(how, recipe)[0], mesh, how.mode, donate_state=True)
    state, snapshots = distribute(begin(), mesh), []
    for number in range(3):
        examples = {n: x[order] for n, x in batch(32, seed=number).items()}
        state, metrics = step(state, put_batch(examples, mesh))
        kept = (state.params, state.batch_stats, state.opt_state, state.ema)
        snapshots.append(jax.device_get((kept, metrics)))
    return snapshots[0], snapshots[2]


@functools.cache
def on_one(parts=1):
    """Returns the outcome on one device, with a micro-batch for each of the devices."""
    recipe = dataclasses.replace(RECIPE, accumulation=parts)
    order = np.arange(32).reshape(parts, -1).T.ravel()
    return train(Parallel(), mesh_of(1), recipe=recipe, order=order)


@pytest.mark.parametrize('count', COUNTS)
@pytest.mark.parametrize('how', GLOBAL, ids=str)
def test_steps_on_several_devices_are_those_on_one(how, count):
    snapshots = train(how, mesh_of(count))
    chex.assert_trees_all_close(snapshots, on_one(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('count', COUNTS)
@pytest.mark.parametrize('how', PER_DEVICE, ids=str)
def test_batch_norm_per_device_is_that_of_micro_batches(how, count):
    snapshots = train(how, mesh_of(count))
    chex.assert_trees_all_close(snapshots, on_one(count), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('how', GLOBAL, ids=str)
def test_diagnoses_on_four_devices_are_those_on_one(how):
    _, look = parts(how)
    diagnoses = [
        jax.device_get(
            compile_step(look, mesh, how.mode)(
                distribute(begin(), mesh), put_batch(batch(32), mesh)
            )
        )
        for mesh in (mesh_of(1), mesh_of(4))
    ]
    chex.assert_trees_all_close(*diagnoses, rtol=1e-5)


def test_one_cpu_computes_where_it_is_called():
    completed = subprocess.run(
        [sys.executable, '-c', CALLED],
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '1', 'JAX_PLATFORMS': 'cpu'},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout == 'True\n'


def test_the_loop_waits_for_steps_on_a_cpu(monkeypatch):
    waited = []
    monkeypatch.setattr(jax, 'block_until_ready', waited.append)
    for running in (['first'], ['first', 'second']):
        keep_pace(running)
    assert waited == ['first', 'second']


@pytest.mark.slow
def test_modes_on_eight_devices():
    if jax.device_count() >= 8:
        pytest.skip('these are eight')
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:xdist', __file__]
    completed = subprocess.run(
        [*command, '-k', 'several_devices or micro_batches'],
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '8'},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    assert '6 passed' in completed.stdout


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'batch_norm': 'per_device'}, 'use mode shard_map, or batch_norm global'),
        ({'mode': 'pmap', 'parameter_devices': 2}, 'use mode jit, or'),
        ({'mode': 'shard_map', 'parameter_devices': 2}, 'use mode jit, or'),
        ({'mode': 'shardmap'}, 'did you mean shard_map?'),
        ({'batch_norm': 'local'}, 'is none of global, per_device'),
        ({'parameter_devices': 0}, 'expected 1 or more'),
    ],
)
def test_pairs_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=message.replace('?', r'\?')):
        Parallel(**fields)


@pytest.mark.parametrize('across', [2, 4])
def test_split_kernels_change_nothing_and_take_their_share(across, monkeypatch):
    monkeypatch.setattr(parallel, 'LEAST_SPLIT_KERNEL', 64)
    snapshots, sizes = [], []
    for parameter_devices in (1, across):
        mesh = mesh_of(4, parameter_devices)
        step, _ = parts(Parallel())
        step = compile_step(step, mesh, donate_state=True)
        state = distribute(begin(), mesh)
        sizes.append(on_device(state.params))
        for number in range(3):
            examples = put_batch(batch(16, seed=number), mesh)
            state, metrics = step(state, examples)
        assert on_device(state.params) == sizes[-1]
        snapshots.append(jax.device_get((state.params, state.ema, metrics)))
    chex.assert_trees_all_close(*snapshots, rtol=1e-5, atol=1e-5)
    assert sizes[1] < 1.4 * sizes[0] / across
    assert {x.sharding.is_fully_replicated for x in jax.tree.leaves(state.ema)} == {
        True,
        False,
    }


def on_device(tree):
    """Returns the bytes of a tree on the first device."""
    return sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(tree))


def test_parameter_devices_must_divide_the_devices():
    with pytest.raises(ValueError, match='3, and the run has 4 devices'):
        device_mesh(3, jax.devices()[:4])


def test_evaluation_on_several_devices_is_that_on_one():
    examples = batch(16) | {'mask': np.arange(16) < 13}
    variables, mesh = begin().ema, mesh_of(4)
    step = compile_evaluation(lambda v, s, b: evaluate(v, b, s), mesh)
    split = step(variables, np.full(2, 0.2, np.float32), put_batch(examples, mesh))
    chex.assert_trees_all_close(split, evaluate(variables, examples), rtol=1e-5)


def test_a_batch_that_does_not_divide_is_refused_with_near_ones():
    check_batch_size(8, mesh_of(4))
    with pytest.raises(ValueError, match=r'multiple of 4, e\.g\. 8 or 12'):
        check_batch_size(10, mesh_of(4))
    with pytest.raises(ValueError, match=r'e\.g\. 4$'):
        check_batch_size(3, mesh_of(4))
    with pytest.raises(ValueError, match='4 devices and 3 micro-batches; use a mult'):
        check_batch_size(16, mesh_of(4), accumulation=3)


@pytest.mark.parametrize('dtype', [np.float32, np.float64, np.int32])
def test_buffers_are_their_own_and_may_be_donated(dtype):
    size = np.dtype(dtype).itemsize
    bytes_ = np.zeros(3 * size + 64, np.uint8)
    start = -bytes_.ctypes.data % 64
    # Aligned, so that JAX could use the memory of NumPy without a copy.
    aligned = bytes_[start : start + 3 * size].view(dtype)
    put = distribute({'a': aligned, 'b': aligned}, mesh_of(2))
    aligned[:] = 1
    pointers = [
        shard.data.unsafe_buffer_pointer()
        for x in put.values()
        for shard in x.addressable_shards
    ]
    assert len({aligned.ctypes.data, *pointers}) == 5
    chex.assert_trees_all_equal(put['a'], np.zeros(3, put['a'].dtype))


@pytest.mark.parametrize('devices', [1, 4])
def test_a_batch_may_be_overwritten_once_it_is_on_its_devices(devices):
    mesh = mesh_of(devices)
    total = jax.jit(lambda batch: jax.tree.map(lambda x: x.sum(), batch))
    for _ in range(20):
        # Large and aligned, so that JAX could use the memory of NumPy without a copy.
        examples = {
            'image': np.zeros((64, 64, 64, 3), np.uint8),
            'label': np.zeros(4096, np.int32),
        }
        sums = total(put_batch(examples, mesh))
        for x in examples.values():
            x[...] = 1
        assert jax.device_get(sums) == {'image': 0, 'label': 0}


@pytest.mark.parametrize('devices', [1, 4])
def test_a_tree_may_be_overwritten_once_it_is_distributed(devices):
    mesh = mesh_of(devices)
    for _ in range(20):
        tree = {'kernel': np.zeros((512, 512), np.float32)}
        put = distribute(tree, mesh)
        tree['kernel'][...] = 1
        assert not np.asarray(put['kernel']).any()


@pytest.mark.parametrize('devices', [None, 2])
def test_a_step_that_takes_the_states_of_members_leaves_those_of_numpy(devices):
    mesh = None if devices is None else member_mesh(devices)
    states = [{'kernel': np.zeros((512, 512), np.float32)} for _ in range(2)]

    def add(state):
        return jax.tree.map(lambda x: x + 1, state)

    step = compile_for_members(add, mesh, donate=True)
    stacked = step(step(place_members(states, mesh)))
    assert np.asarray(stacked['kernel'] == 2).all()
    assert not any(state['kernel'].any() for state in states)


def test_a_step_may_take_what_was_spread_from_devices_and_the_first_stays():
    mesh = device_mesh()
    first = distribute({'x': np.ones((64, 64), np.float32)}, mesh)
    taken = jax.jit(lambda tree: jax.tree.map(lambda x: x + 1, tree), donate_argnums=0)
    for _ in range(3):
        second = taken(distribute(first, mesh))
        np.testing.assert_array_equal(second['x'], 2)
        np.testing.assert_array_equal(first['x'], 1)
