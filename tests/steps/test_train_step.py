"""The train step and the evaluation step."""

import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.steps import NUMBERS, RECIPE, batch, begin, evaluate, stepper
from helpers.tiny import NET

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.keys import example_keys
from inception_jax.steps.state import initial_state
from inception_jax.steps.train_step import train_step


@pytest.fixture(scope='module')
def step():
    return jax.jit(stepper())


def test_one_compilation_serves_scales_rates_and_every_number():
    chex.clear_trace_counter()

    def step(state, batch):
        return stepper()(state, batch)

    traced_once = jax.jit(chex.assert_max_traces(step, n=1))
    losses = set()
    for scale in (0.0, 0.1, 0.3, 1.0, 2.0):
        for rate in (0.001, 0.01, 0.1):
            state, _ = traced_once(
                begin(residual_scale=scale, learning_rate=rate), batch()
            )
            _, metrics = traced_once(state, batch(seed=1))
            losses.add(float(metrics['loss']))
    assert len(losses) == 15
    traced_once(begin(weight_decay=0.1, dropout_rate=0.5, label_smoothing=0.2), batch())


def test_training_lowers_the_loss(step):
    state, losses = begin(dropout_rate=0.0, learning_rate=0.1), []
    for _ in range(100):
        state, metrics = step(state, batch())
        losses.append(float(metrics['loss']))
    assert losses[-1] < 0.5 * losses[0]
    assert int(state.step) == 100


def test_a_step_is_a_function_of_its_state_and_batch(step):
    (first, _), (again, _) = step(begin(), batch()), step(begin(), batch())
    chex.assert_trees_all_equal(first.params, again.params)


def test_a_step_is_what_its_parts_say():
    hparams = {'dropout_rate': 0.0, 'weight_decay': 0.0, 'label_smoothing': 0.0}
    recipe = dataclasses.replace(RECIPE, optimizer='momentum')
    state = jax.tree.map(
        jnp.asarray,
        initial_state(NET, recipe, hparams_for(NET, **(NUMBERS | hparams)), seed=0),
    )
    plain = functools.partial(
        augment.augment, flip=False, colour='none', pixel_range=(-1.0, 1.0)
    )
    step = functools.partial(
        train_step, classifier=Classifier(NET, 0.9), recipe=recipe, augment=plain
    )
    after, metrics = jax.jit(step)(state, batch())

    def loss(params):
        outputs, _ = Classifier(NET, 0.9).apply(
            {'params': params, 'batch_stats': state.batch_stats},
            batch()['image'].astype(np.float32) / 127.5 - 1.0,
            train=True,
            mutable=['batch_stats'],
        )
        return optax.softmax_cross_entropy_with_integer_labels(
            outputs.logits, batch()['label']
        ).mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(state.params)
    expected = jax.tree.map(lambda w, g: w - 0.01 * g, state.params, gradients)
    chex.assert_trees_all_close(after.params, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics['loss'], value, rtol=1e-5)
    np.testing.assert_allclose(
        metrics['gradient_norm'], optax.tree.norm(gradients), rtol=1e-4
    )


def test_averages_follow_parameters_and_statistics(step):
    state = begin()
    after, _ = step(state, batch())
    decay = (1 + 1) / (10 + 1)
    for name in ('params', 'batch_stats'):
        expected = jax.tree.map(
            lambda old, new: decay * old + (1 - decay) * new,
            state.ema[name],
            getattr(after, name),
        )
        chex.assert_trees_all_close(after.ema[name], expected, rtol=1e-5, atol=1e-6)


def test_two_halves_averaged_by_shard_map_have_the_gradient_of_the_whole():
    recipe = dataclasses.replace(RECIPE, optimizer='momentum')
    axis_types = (jax.sharding.AxisType.Auto,)
    mesh = jax.make_mesh((2,), ('data',), axis_types, devices=jax.devices()[:2])
    spec = jax.sharding.PartitionSpec
    halves = jax.shard_map(
        stepper(recipe, mean=functools.partial(jax.lax.pmean, axis_name='data')),
        mesh=mesh,
        in_specs=(spec(), spec('data')),
        out_specs=spec(),
        check_vma=False,
    )
    same = batch(8)
    twice = jax.tree.map(lambda x: np.concatenate([x, x]), same)
    hparams = hparams_for(NET, **NUMBERS)
    state = jax.tree.map(jnp.asarray, initial_state(NET, recipe, hparams, seed=0))
    split, split_metrics = jax.jit(halves)(state, twice)
    whole, metrics = jax.jit(stepper(recipe))(state, same)
    chex.assert_trees_all_close(split.params, whole.params, rtol=1e-5, atol=1e-6)
    equal = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(equal, split_metrics, metrics)


def test_keys_are_a_function_of_seed_step_and_example():
    key = jax.random.key(0)
    some = example_keys(key, jnp.int32(3), jnp.arange(8, dtype=jnp.uint32))
    other = example_keys(key, jnp.int32(3), jnp.array([5, 2], jnp.uint32))
    assert (other == some[jnp.array([5, 2])]).all()
    later = example_keys(key, jnp.int32(4), jnp.arange(8, dtype=jnp.uint32))
    assert not (later == some).any()


def test_evaluation_sums_over_real_examples_only():
    variables = begin().ema
    whole = batch(8) | {'mask': np.ones(8, bool)}
    padded = batch(12) | {'mask': np.arange(12) < 8}
    padded['image'][:8], padded['label'][:8] = whole['image'], whole['label']
    first, second = evaluate(variables, whole), evaluate(variables, padded)
    assert float(second['examples']) == 8
    chex.assert_trees_all_close(first, second, rtol=1e-5)


def test_evaluation_is_at_the_scale_given_and_counts_as_numpy_does():
    variables, examples = begin().ema, batch(8) | {'mask': np.ones(8, bool)}
    images = examples['image'].astype(np.float32) / 127.5 - 1.0
    for scale in ((0.2, 0.2), (1.0, 0.5)):
        outputs = Classifier(NET, 0.9).apply(
            variables, images, train=False, residual_scale=jnp.array(scale)
        )
        losses = optax.softmax_cross_entropy_with_integer_labels(
            outputs.logits, examples['label']
        )
        wrong = np.argmax(np.asarray(outputs.logits), -1) != examples['label']
        sums = evaluate(variables, examples, scale)
        np.testing.assert_allclose(sums['cross_entropy'], losses.sum(), rtol=1e-5)
        assert float(sums['top_1_errors']) == wrong.sum()
    first, second = (evaluate(variables, examples, s) for s in ((0.2, 0.2), (1.0, 0.2)))
    assert float(first['cross_entropy']) != float(second['cross_entropy'])


@pytest.mark.parametrize('scheme', ['glorot', 'truncated_normal', 'lecun'])
def test_the_initializer_is_that_of_the_recipe(scheme):
    recipe = dataclasses.replace(RECIPE, initializer=scheme)
    state = initial_state(NET, recipe, hparams_for(NET, **NUMBERS), seed=0)
    drawn = initial_variables(NET, seed=0, scheme=scheme)['params']
    chex.assert_trees_all_equal(state.params, drawn)
    kernel = state.params['stem']['conv0']['kernel']
    assert not np.allclose(kernel, begin().params['stem']['conv0']['kernel'])


def test_a_dead_network_is_all_zeros_and_all_wrong():
    state = begin(label_smoothing=0.0)
    dead = jax.tree_util.tree_map_with_path(
        lambda path, x: x - np.float32(1e3) if path[-1].key == 'bias' else 0 * x,
        jax.device_get(state.params),
    )
    dead['logits']['dense0']['bias'] = jnp.zeros(10)
    _, metrics = stepper()(dataclasses.replace(state, params=dead), batch())
    assert float(metrics['zero_share']) == 1.0
    assert float(metrics['top_1_error']) == 100.0
    np.testing.assert_allclose(metrics['cross_entropy'], np.log(10), rtol=1e-6)


def test_the_auxiliary_loss_has_its_weight():
    from inception_jax.model.classifier import Outputs
    from inception_jax.steps.losses import cross_entropy, objective

    logits = jax.random.normal(jax.random.key(0), (2, 4, 10))
    labels = jnp.arange(4)
    hparams = hparams_for(NET, **NUMBERS)
    both = objective(Outputs(*logits, None), labels, hparams)
    main, side = (cross_entropy(x, labels, 0.1) for x in logits)
    np.testing.assert_allclose(both, main + 0.4 * side, rtol=1e-6)
    alone = objective(Outputs(logits[0], None, None), labels, hparams)
    np.testing.assert_allclose(alone, main, rtol=1e-6)


def test_label_smoothing_spreads_over_all_classes():
    from inception_jax.steps.losses import cross_entropy

    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1]]))
    expected = -(0.9 + 0.1 / 3) * np.log(0.7) - 0.1 / 3 * (np.log(0.2) + np.log(0.1))
    loss = cross_entropy(logits, jnp.array([0]), 0.1)
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'example': None}, 'the batch lacks example; it has image, label, and'),
        (
            {'label': np.zeros((16, 1), np.int32)},
            r'label of the batch is int32 \[16, 1',
        ),
        ({'label': np.zeros(16, np.float32)}, r'float32 \[16\]; expected integer'),
        ({'example': np.arange(4)}, r'example of the batch is int64 \[4\]'),
    ],
)
def test_a_batch_that_does_not_fit_the_step_is_refused_in_one_line(change, message):
    changed = {n: x for n, x in (batch() | change).items() if x is not None}
    with pytest.raises(ValueError, match=message):
        stepper()(begin(), changed)
    if 'label' in change:
        with pytest.raises(ValueError, match=message):
            evaluate({}, changed | {'mask': np.ones(16, bool)})


def test_a_batch_without_mask_is_not_evaluated():
    with pytest.raises(ValueError, match='the batch lacks mask'):
        evaluate({}, batch())


def test_micro_batches_divide_the_batch():
    recipe = dataclasses.replace(RECIPE, accumulation=3)
    with pytest.raises(ValueError, match='16 images does not divide into 3 micro-ba'):
        stepper(recipe)(begin(), batch())
