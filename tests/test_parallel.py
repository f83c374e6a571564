"""The compiled steps over several devices against one."""

import chex
import jax
import numpy as np
import pytest
from test_steps import batch, begin, evaluate, stepper

from inception_jax import parallel


def mesh_of(count):
    types = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((count,), ('data',), types, devices=jax.devices()[:count])


def train(count, steps=3):
    mesh = mesh_of(count)
    step = parallel.compiled_train_step(stepper(), mesh)
    state = parallel.replicate(begin(), mesh)
    for number in range(steps):
        state, metrics = step(state, parallel.place(batch(16, seed=number), mesh))
    return jax.device_get((state.params, state.batch_stats, state.ema, metrics))


@pytest.mark.parametrize('count', [2, 4])
def test_three_steps_on_several_devices_are_those_on_one(count):
    chex.assert_trees_all_close(train(count), train(1), rtol=1e-5, atol=1e-5)


def test_evaluation_on_several_devices_is_that_on_one():
    examples = batch(16) | {'mask': np.arange(16) < 13}
    variables, mesh = begin().ema, mesh_of(4)
    step = parallel.compiled_eval_step(lambda v, s, b: evaluate(v, b, s), mesh)
    split = step(variables, np.full(2, 0.2, np.float32), parallel.place(examples, mesh))
    chex.assert_trees_all_close(split, evaluate(variables, examples), rtol=1e-5)


def test_a_batch_that_does_not_divide_is_refused_with_near_ones():
    parallel.check_batch_size(8, mesh_of(4))
    with pytest.raises(ValueError, match=r'multiple of 4, e\.g\. 8 or 12'):
        parallel.check_batch_size(10, mesh_of(4))
    with pytest.raises(ValueError, match=r'e\.g\. 4$'):
        parallel.check_batch_size(3, mesh_of(4))


def test_replicated_buffers_are_their_own_and_may_be_donated():
    values = {'a': np.ones(3), 'b': None}
    values['b'] = values['a']
    put = parallel.replicate(values, mesh_of(2))
    pointers = [
        x.addressable_shards[0].data.unsafe_buffer_pointer() for x in put.values()
    ]
    assert len(set(pointers)) == 2
