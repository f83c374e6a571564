"""Blocks that stay as they are while others train."""

import dataclasses
import functools
import itertools

import chex
import jax
import numpy as np
import optax
import pytest
from helpers.configs import config
from helpers.frozen import MOMENTUM, begin, trained
from helpers.steps import RECIPE, batch
from helpers.tiny import NET, PLAIN

from inception_jax.config.experiment import experiment
from inception_jax.model.classifier import Classifier, apply_trunk_block
from inception_jax.networks.network import trunk
from inception_jax.parallel import mesh as parallel
from inception_jax.parallel.compile import compile_step
from inception_jax.parallel.mesh import (
    MODES,
    Parallel,
    device_mesh,
    distribute,
    put_batch,
)
from inception_jax.runs import checkpoints
from inception_jax.stability.diagnostics import update_ratio
from inception_jax.steps.by_block import block_names, select_blocks
from inception_jax.training.programs import pure_functions, with_diagnosis


def of(state, blocks, but=False):
    """Returns all that a state has of some blocks, or of all but them."""
    return {
        name: {n: x for n, x in tree.items() if (n in blocks) != but}
        for name, tree in {
            'params': state.params,
            'batch_stats': state.batch_stats,
            'ema params': state.ema['params'],
            'ema batch_stats': state.ema['batch_stats'],
        }.items()
    }


def check_frozen(first, last, recipe, net=NET):
    blocks = select_blocks(net, recipe.frozen)
    chex.assert_trees_all_equal(of(last, blocks), of(first, blocks))
    moved = jax.tree.map(
        lambda x, y: not np.array_equal(x, y),
        *(of(state, blocks, but=True) for state in (first, last)),
    )
    assert all(jax.tree.leaves(moved)), moved


@pytest.mark.parametrize(
    ('frozen', 'blocks', 'accumulation'),
    [
        ('trunk', ('stem', 'a_1', 'a_2'), 1),
        ('trunk', ('stem', 'a_1', 'a_2'), 3),
        ('a', ('a_1', 'a_2'), 3),
        (['stem', 'a_1'], ('stem', 'a_1'), 1),
        ('logits', ('logits',), 3),
    ],
)
def test_frozen_blocks_keep_their_bits_and_all_others_move(
    frozen, blocks, accumulation
):
    recipe = dataclasses.replace(
        RECIPE, frozen=frozen, accumulation=accumulation, clip=True
    )
    assert select_blocks(NET, recipe.frozen) == blocks
    first, last, metrics = trained(recipe)
    check_frozen(first, last, recipe)
    still = [name in blocks for name in block_names(NET)]
    assert (np.asarray(metrics['blocks']['gradient_norm'] == 0) == still).all()
    assert metrics['blocks']['finite'].all()


def test_a_frozen_block_has_no_state_of_the_optimizer():
    recipe = dataclasses.replace(RECIPE, frozen='trunk')
    paths = jax.tree_util.tree_flatten_with_path(begin(recipe=recipe).opt_state)[0]
    keys = [jax.tree_util.keystr(path) for path, _ in paths]
    assert len(keys) == 4
    assert all("['logits']" in key for key in keys)


def reference(state, trained, examples):
    """Returns the loss of a network whose stem is frozen, from its blocks one by one.

    The stem is that of `PLAIN`, as it is evaluated.
    """
    images = examples['image'].astype(np.float32) / 127.5 - 1.0
    variables = state.variables
    x = Classifier(PLAIN, 0.9).apply(
        jax.tree.map(jax.lax.stop_gradient, variables)
        | {'params': state.params | {'logits': begin(PLAIN).params['logits']}},
        images,
        train=False,
    )
    x = jax.lax.stop_gradient(x.features)
    variables |= {'params': state.params | trained}
    for block in list(trunk(NET))[1:]:
        x, _ = apply_trunk_block(Classifier(NET, 0.9), variables, block, x, [0.2])
    dense = trained['logits']['dense0']
    logits = x.mean(axis=(1, 2)) @ dense['kernel'] + dense['bias'].reshape(1, -1)
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, examples['label']
    ).mean()


def test_the_gradient_of_the_rest_is_that_behind_a_stopped_stem():
    recipe = dataclasses.replace(MOMENTUM, frozen='stem')
    plain = {'dropout_rate': 0.0, 'weight_decay': 0.0, 'label_smoothing': 0.0}
    first, last, metrics = trained(recipe, steps=1, **plain)
    rest = {name: first.params[name] for name in ('a_1', 'a_2', 'logits')}
    loss = functools.partial(reference, first, examples=batch(24))
    value, gradients = jax.jit(jax.value_and_grad(loss))(rest)
    expected = jax.tree.map(lambda w, g: w - 0.01 * g, rest, gradients)
    updated = {name: last.params[name] for name in rest}
    chex.assert_trees_all_close(updated, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics['loss'], value, rtol=1e-5)


@pytest.mark.parametrize('execution', ['plain', 'fast'])
def test_blocks_before_the_first_that_trains_have_no_backward_pass(execution):
    def costs(**changes):
        recipe = dataclasses.replace(RECIPE, execution=execution, **changes)
        traced = jax.jit(pure_functions(NET, recipe, None).step).trace(
            begin(NET, recipe), batch()
        )
        convolutions = str(traced.jaxpr).count('conv_general_dilated[')
        return traced.lower().compile().cost_analysis()['flops'], convolutions

    whole, stem, head = costs(), costs(frozen='stem'), costs(frozen='trunk')
    # None in their input for the first of 10, or the two that read a frozen grid.
    # In fast execution some are products, and equal blocks are written once.
    if execution == 'plain':
        assert [count for _, count in (whole, stem, head)] == [29, 2 + 3 * 8 - 2, 10]
    assert stem[0] < whole[0]
    assert head[0] < 0.5 * whole[0]


@pytest.mark.parametrize('remat', ['all', ()])
def test_an_auxiliary_head_trains_or_not(remat, small):
    net = small('inception_v3')
    assert net.auxiliary
    for frozen in ('trunk', ['auxiliary', 'stem']):
        recipe = dataclasses.replace(RECIPE, frozen=frozen, remat=remat)
        state = begin(net, recipe)
        images = np.zeros((4, net.input_size, net.input_size, 3), np.uint8)
        examples = batch(4) | {'image': images}
        after, _ = jax.eval_shape(
            pure_functions(net, recipe, None).step, state, examples
        )
        chex.assert_trees_all_equal_shapes(after, state)


def test_a_look_inside_sees_frozen_blocks_as_they_work():
    recipe = dataclasses.replace(RECIPE, frozen='stem')
    first, functions = begin(recipe=recipe), pure_functions(NET, recipe, None)
    images = batch()['image'].astype(np.float32) / 127.5 - 1.0
    variables = {'params': first.params, 'batch_stats': first.batch_stats}
    evaluated = Classifier(NET, 0.9).apply(
        variables, images, train=False, mutable=['intermediates']
    )[1]['intermediates']
    stem = next(trunk(NET))
    _, left = apply_trunk_block(functions.classifier, variables, stem, images, [])
    chex.assert_trees_all_close(left['output'], evaluated['stem']['output'], rtol=1e-6)
    moved = functools.partial(update_ratio, network=NET)
    steps = with_diagnosis(jax.jit(functions.step), jax.jit(functions.diagnose), moved)
    _, metrics = steps.diagnosed_step(first, batch())
    ratios = np.asarray(metrics['diagnosis']['update_ratio'])
    assert ratios[0] == 0
    assert (ratios[1:] > 0).all()


def test_recipes_of_names_are_hashable_and_keep_them():
    recipe = dataclasses.replace(RECIPE, frozen='a', rate_factors={'b': 2, 'a_1': 0.5})
    assert recipe.frozen == ('a',)
    assert recipe.rate_factors == (('a_1', 0.5), ('b', 2))
    again = dataclasses.replace(recipe, clip=False)
    assert {recipe: 1}[again] == 1
    assert RECIPE.rate_factors == ()


@pytest.mark.parametrize('mode', [*MODES, 'split'])
def test_frozen_blocks_on_four_devices_are_those_on_one(mode, monkeypatch):
    monkeypatch.setattr(parallel, 'LEAST_SPLIT_KERNEL', 64)
    recipe = dataclasses.replace(
        RECIPE, frozen=['stem', 'a_2'], rate_factors={'a': 0.3}
    )
    mode, count = ('jit', 2) if mode == 'split' else (mode, 1)
    mesh = device_mesh(count, jax.devices()[:4])
    axis = Parallel(mode).batch_norm_axis
    step = pure_functions(NET, recipe, axis).step
    step = compile_step(step, mesh, mode, donate_state=True)
    state = distribute(begin(recipe=recipe), mesh)
    for number in range(3):
        state, _ = step(state, put_batch(batch(24, seed=number), mesh))
    first, last, _ = trained(recipe)
    check_frozen(first, jax.device_get(state), recipe)
    chex.assert_trees_all_close(
        (state.params, state.batch_stats, state.opt_state, state.ema),
        (last.params, last.batch_stats, last.opt_state, last.ema),
        rtol=1e-5,
        atol=1e-5,
    )


def test_a_state_of_few_blocks_is_saved_and_restored(tmp_path):
    recipe = dataclasses.replace(RECIPE, frozen='trunk')
    _, last, _ = trained(recipe)
    with checkpoints.open_manager(tmp_path, keep=1) as manager:
        checkpoints.save_checkpoint(manager, last, {'run': {'inception_jax': '0.1.0'}})
    saved = checkpoints.restore_checkpoint(
        tmp_path, begin(recipe=recipe), lambda metadata: None
    )
    chex.assert_trees_all_equal(saved.state.params, last.params)
    chex.assert_trees_all_equal(saved.state.opt_state, last.opt_state)
    with pytest.raises(ValueError, match='whose state has other arrays'):
        checkpoints.restore_checkpoint(tmp_path, begin(), lambda metadata: None)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'frozen': 'd'}, "recipe.frozen names 'd'; inception_resnet_v1 has stem, a, "),
        ({'frozen': ['auxiliary']}, "names 'auxiliary'; .* c, logits, trunk, and"),
        ({'frozen': ['trunk', 'logits']}, 'trunk, logits, which is all of .* leave'),
        ({'rate_factors': {'a_99': 0.1}}, "recipe.rate_factors names 'a_99'; "),
        ({'rate_factors': {'a': -1.0}}, 'of a is -1.0; expected a finite number of 0'),
        ({'rate_factors': {'a': float('inf')}}, 'inf}; expected finite numbers'),
        ({'rate_factors': {'a': float('nan')}}, 'nan}; expected finite numbers'),
        ({'rate_factors': 0.1}, 'is 0.1; expected float by name or None'),
        ({'frozen': 1}, 'is 1; expected str or list of str'),
        ({'frozen': 'a', 'rate_factors': {'a': 2.0}}, "rate_factors names 'a', and"),
        ({'frozen': 'a', 'rate_factors': {'a_1': 2.0}}, 'name it in one of them'),
        ({'frozen': 'trunk', 'rate_factors': {'b': 2.0}}, 'name it in one of them'),
    ],
)
def test_a_mistake_is_named_with_its_repair(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        experiment(config(recipe=changes))
    assert '\n' not in str(error.value)


def test_a_stage_may_have_a_rate_where_one_of_its_blocks_is_frozen():
    choices = itertools.product(['trunk', 'stem', ['a_1', 'b']], [None, {'logits': 10}])
    for frozen, factors in choices:
        recipe = {'frozen': frozen, 'rate_factors': factors}
        assert experiment(config(recipe=recipe)).recipe.frozen
    chosen = experiment(config(recipe={'frozen': 'stem', 'rate_factors': {'trunk': 2}}))
    assert dict(chosen.recipe.rate_factors) == {'trunk': 2}
