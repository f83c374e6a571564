"""Probes as a user asks for them: from the command line to probe-N.json."""

import dataclasses
import functools
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.training import arguments, records
from jax.flatten_util import ravel_pytree

from inception_jax.__main__ import main
from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import override
from inception_jax.lab import probe
from inception_jax.lab.probe_answers import ProbeAnswers
from inception_jax.parallel.mesh import distribute, put_batch
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import claim_workdir
from inception_jax.stability.curvature import Curvature
from inception_jax.training.batches import batch_stream
from inception_jax.training.prepare import prepare
from inception_jax.training.programs import compiled_functions
from inception_jax.training.resume import newest_checkpoint
from inception_jax.training.states import open_run

# Without dropout, with images that depend on keys, and while the scale still rises.
CHANGES = {
    'hparams__dropout_rate': 0.0,
    'hparams__residual_scale': 0.6,
    'hparams__residual_scale_start': 0.2,
    'hparams__residual_scale_epochs': 5,
    'recipe__flip': True,
    'run__epochs': 4,
    'run__log_every_steps': 1,
    'run__diagnose_every_steps': 0,
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('probes') / 'run'
    assert main(arguments(workdir, **CHANGES)) == 0
    return workdir


def ask(workdir, *options):
    return main(['probe', f'--workdir={workdir}', *options])


def read_answer(workdir, step):
    """Reads strict JSON."""

    def refuse(constant):
        raise AssertionError(constant)

    text = (workdir / f'probe-{step}.json').read_text()
    return json.loads(text, parse_constant=refuse)


@functools.cache
def newest_of(workdir):
    """Returns a run, its newest state, and the loss of its next step at any state."""
    run = open_run(workdir)
    state = newest_checkpoint(run)
    batch = put_batch(next(batch_stream(run, start=int(state.step))), run.mesh)

    def loss(at):
        # A copy, for the step takes what it is given.
        _, metrics = compiled_functions(run).steps.step(distribute(at, run.mesh), batch)
        return float(metrics['loss'])

    return run, state, loss


def test_answers_are_on_the_screen_and_in_a_file(trained, capsys):
    assert ask(trained) == 0
    printed = capsys.readouterr().out
    assert 'tiny after step 32 (epoch 4.00), probed on 8 images, the ba' in printed
    assert 'The loss would fall if the scales were' in printed
    answer = read_answer(trained, 32)
    assert answer['blocks'] == ['stem', 'a_1', 'a_2']
    # The scale of step 33 of the 40 in which it rises.
    scale = 0.2 + (0.6 - 0.2) * 33 / 40
    assert answer['residual_scale'] == [None, *2 * [pytest.approx(scale)]]
    for name in ('scale_gradient', 'branch_gain'):
        assert [x is None for x in answer[name]] == [True, False, False]
    assert all(gain > 0 for gain in answer['jacobian_gain'])
    assert answer['scales']['factor'] == [0, 0.1, 0.3, 1, 2]
    curvature = answer['curvature']
    assert curvature['converged']
    assert curvature['residual'] < 1e-2 * curvature['eigenvalue']
    rate = 0.045 * 0.94**4
    assert curvature['edge_of_stability'] == pytest.approx(2 * 1.9 / rate, rel=1e-5)


def test_scale_gradients_are_differences_of_the_steps_own_loss(trained):
    assert ask(trained, '--ask=scale_gradient') == 0
    _, state, loss = newest_of(trained)

    def at(scale):
        changes = {'residual_scale': scale, 'residual_scale_start': scale}
        hparams = dataclasses.replace(state.hparams, **changes)
        return dataclasses.replace(state, hparams=hparams)

    answer = read_answer(trained, 32)
    scale = jnp.array(answer['residual_scale'][1:], jnp.float32)
    for block, move in enumerate(0.01 * jnp.eye(2)):
        expected = (loss(at(scale + move)) - loss(at(scale - move))) / 0.02
        assert answer['scale_gradient'][1 + block] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize('step', [16, 19])
def test_at_factor_1_the_loss_is_that_of_the_step_itself(trained, step):
    assert ask(trained, f'--step={step}', '--ask=scales', '--factors=0.5,1') == 0
    scales = read_answer(trained, step)['scales']
    (record,) = [r for r in records(trained) if r['step'] == step + 1]
    for name in ('loss', 'cross_entropy', 'dead_channels'):
        assert scales[name][1] == pytest.approx(record[name], rel=1e-5)
    assert scales['loss'][0] != scales['loss'][1]


def test_the_hessian_is_that_of_the_steps_own_loss(trained, monkeypatch):
    _, state, loss = newest_of(trained)
    # No ReLU comes after the last bias, so the loss is smooth in it.
    move = jax.tree.map(np.zeros_like, state.params)
    move['logits']['dense0']['bias'] += np.float32([0.8, 0, -0.6, 0])
    vector, _ = ravel_pytree(move)
    divisors, _ = ravel_pytree(
        jax.tree.map(
            lambda s: jnp.sqrt(s + state.hparams.rms_epsilon),
            optax.tree.get(state.opt_state, 'nu'),
        )
    )
    vector = np.asarray(vector * jnp.sqrt(divisors))

    def along(product, size, **_):
        assert size == vector.size
        return Curvature(float(vector @ product(vector)), 0.0, 1, True, vector)

    monkeypatch.setattr(probe, 'largest_curvature', along)
    assert ask(trained, '--ask=curvature') == 0
    ahead, here, behind = (
        loss(dataclasses.replace(state, params=params))
        for params in (
            jax.tree.map(lambda x, v, by=by: x + by * v, state.params, move)
            for by in np.float32([0.2, 0, -0.2])
        )
    )
    expected = (ahead - 2 * here + behind) / 0.2**2
    curvature = read_answer(trained, 32)['curvature']
    assert curvature['eigenvalue'] == pytest.approx(expected, rel=2e-2)


def test_only_what_is_asked_is_answered_and_the_seed_is_one_of_perturbations(trained):
    gains = []
    for seed in (0, 0, 1):
        assert ask(trained, '--ask=jacobian', f'--seed={seed}') == 0
        answer = read_answer(trained, 32)
        assert not answer.keys() & {'scale_gradient', 'scales', 'curvature'}
        gains.append(answer['jacobian_gain'])
    assert gains[0] == gains[1] != gains[2]


def test_step_0_is_the_network_before_step_1_and_needs_no_checkpoint(trained, tmp_path):
    workdir = tmp_path / 'run'
    shutil.copytree(trained, workdir)
    shutil.rmtree(workdir / 'checkpoints')
    assert ask(workdir, '--step=0', '--ask=scales', '--factors=1') == 0
    first = records(workdir)[0]
    assert read_answer(workdir, 0)['scales']['loss'] == [
        pytest.approx(first['loss'], rel=1e-5)
    ]


def test_networks_without_residual_blocks_have_no_scales_to_ask_about(
    trained, tmp_path, capsys
):
    config = override(Run(trained).config, {'network.name': 'helpers.tiny:PLAIN'})
    run = prepare(experiment(config), tmp_path)
    claim_workdir(tmp_path, run.identity, run.train_source.class_names)
    assert ask(tmp_path, '--step=0', '--ask=scale_gradient,jacobian,scales') == 0
    answer = read_answer(tmp_path, 0)
    assert (answer['scale_gradient'], answer['scales']) == (None, None)
    assert answer['jacobian_gain'][0] > 0
    assert 'plain has no residual blocks' in capsys.readouterr().out


def test_answers_that_are_not_finite_are_null(trained):
    run, state, _ = newest_of(trained)
    broken = jax.tree.map(lambda x: x * jnp.float32(np.nan), state.params)
    options = probe.ProbeOptions(factors=(1.0,))
    broken_state = dataclasses.replace(state, params=broken)
    answers = probe.probe_state(run, broken_state, options)
    json.dumps(answers.to_json(), allow_nan=False)
    assert answers.scale_gradient == [None, None, None]
    assert answers.scales['loss'] == [None]
    assert answers.curvature['eigenvalue'] is None
    text = str(answers)
    assert 'The derivative of the loss in the scales is not finite.' in text
    assert 'The curvature of the loss is not finite.' in text


@pytest.mark.parametrize(
    ('eigenvalue', 'residual', 'expected'),
    [
        (803.4, 0.0006, 'error below 0.001 %'),
        (13.97, 0.0002, 'error 0.001 %'),
        (2.0, 0.5, 'error 25 %'),
        (0.0, 0.0, 'error below 0.001 %'),
        (None, None, 'error not finite'),
    ],
)
def test_the_error_of_the_curvature_is_in_percent_of_it(eigenvalue, residual, expected):
    curvature = {
        'eigenvalue': eigenvalue,
        'residual': residual,
        'products': 23,
        'converged': True,
        'optimizer': 'rmsprop',
        'learning_rate': 0.045,
        'momentum': 0.9,
        'edge_of_stability': 84.4,
        'blocks': None,
    }
    answers = ProbeAnswers(
        ask=('curvature',),
        network='net',
        fingerprint='0ddba11',
        step=3,
        epoch=0.5,
        images=8,
        seed=0,
        blocks=['a_1'],
        residual_scale=[0.1],
        curvature=curvature,
    )
    assert f'{expected}, 23 products with the Hessian' in str(answers)
    assert 'residual 0' not in str(answers)


def test_words_name_neighbours_as_a_span_and_sums_of_a_block_by_number():
    answers = ProbeAnswers(
        ask=('scale_gradient',),
        network='net',
        fingerprint='0ddba11',
        step=3,
        epoch=0.5,
        images=8,
        seed=0,
        blocks=['stem', 'a_1', 'a_2', 'a_3', 'b_1', 'mixed'],
        residual_scale=[None, 0.1, 0.1, 0.1, 0.1, [0.2, 0.3]],
        scale_gradient=[None, 0.5, 0.25, -1e-3, -2.0, [3.0, 0.0]],
    )
    smaller = 'smaller in a_1..a_2, mixed sum_1 and larger in a_3, b_1.'
    assert smaller in str(answers)
    zeros = [None, 0.0, 0.0, 0.0, 0.0, [0.0, 0.0]]
    still = dataclasses.replace(answers, scale_gradient=zeros)
    assert 'does not change with any scale' in str(still)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--step=99'], 'it has steps 0 to 32'),
        (['--step=-1'], 'it has steps 0 to 32'),
        (['--ask=hessian'], "'hessian' is none of scale_gradient, jacobian, scales, "),
        (['--factors=0,one'], 'expected numbers with commas'),
        (['--factors=inf'], 'expected finite numbers'),
        (['--samples=0'], '0 samples; expected 1 or more'),
        (['--seed=-1'], 'seed -1; expected 0 or more'),
        (['--config.run.epochs=3'], 'unknown argument --config.run.epochs=3'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(trained, capsys, options, message):
    before = sorted(trained.iterdir())
    assert ask(trained, *options) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count('\n') == 1
    assert printed.out == ''
    assert sorted(trained.iterdir()) == before


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    assert ask(tmp_path) == 2
    assert 'holds no run' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
