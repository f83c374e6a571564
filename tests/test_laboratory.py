"""The laboratory in a notebook, from a network to a sweep, on handwritten digits."""

import dataclasses

import cv2
import numpy as np
import pytest
from helpers.paths import QUICKSTART

import inception_jax as ij

# The quick start in seconds: a narrow residual network of three blocks.
NARROW = {
    'network.name': 'helpers.tiny:NET',
    'width': 1.0,
    'depth': 1.0,
    'input_size': 16,
    'batch_size': 96,
    'epochs': 1.0,
    'log_every_steps': 5,
    'diagnose_every_steps': 5,
}


@pytest.fixture(scope='module')
def config():
    return ij.load_config(QUICKSTART, **NARROW)


@pytest.fixture(scope='module')
def run(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'unscaled'
    return ij.train(config, folder, residual_scale=1.0)


def test_a_network_is_a_value_that_prints_itself_and_a_function():
    net = ij.scaled(ij.load('inception_resnet_v2'), width=0.05, depth=0.01)
    assert str(net) == str(ij.table(net)).rstrip()
    assert len(repr(net)) < 100
    assert net._repr_svg_().startswith('<svg')
    model, variables = ij.Classifier(net), ij.init(net, seed=0)
    images = np.zeros((1, 75, 75, 3), np.float32)
    outputs = model.apply(variables, images, train=False, residual_scale=0.1)
    assert outputs.logits.shape == (1, 1000)
    with pytest.raises(ValueError, match='trains without batch_norm_decay'):
        model.apply(variables, images, train=True, mutable=['batch_stats'])


def test_the_variables_of_another_network_are_refused():
    net = ij.network('a', ij.one('s', ij.conv(4, 3)), classes=10, input_size=8)
    variables, images = ij.init(net), np.zeros((1, 8, 8, 3), np.float32)
    for other in (ij.scaled(net, width=4), dataclasses.replace(net, classes=7)):
        with pytest.raises(ValueError, match='use the variables of this network'):
            ij.Classifier(other).apply(variables, images, train=False)


def test_a_run_is_a_value(run):
    records = run.records('train')
    assert {len(column) for column in records.values()} == {len(records['step'])}
    assert run.verdict.verdict in ('alive', 'dying', 'dead')
    assert run.curves().axes
    assert run.workdir.name in repr(run)
    assert '<img' in run._repr_html_()


def test_a_run_is_probed_at_a_step(run):
    probe = ij.probe(run, step=5)
    assert len(probe.scale_gradient) == len(probe.jacobian_gain) == len(probe.blocks)
    assert 'dLoss/dScale' in str(probe)


def test_a_fork_predicts(run, tmp_path):
    fork = ij.fork(run, step=5, into=tmp_path / 'saved', residual_scale=0.1)
    assert fork.lineage['step'] == 5
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'digit.png'), image)
    trained = ij.trained(tmp_path / 'saved')
    (prediction,) = trained.predict([tmp_path / 'digit.png'], top=3)
    assert len(prediction.classes) == 3
    assert trained.features([image]).shape[0] == 1


def test_a_sweep_is_a_table(config, tmp_path):
    folder = tmp_path / 'sweep'
    ij.sweep(config, folder, residual_scale=[0.1, 1.0], seed=range(2))
    rows = ij.read_sweep(folder).table()
    assert len(rows) == 4
    assert ij.report(folder).startswith('sweep')


def test_runs_sweeps_and_config_files_are_taken_where_a_path_or_a_config_is(run):
    assert ij.run(run).workdir == run.workdir
    assert ij.trained(run).class_names[0] == '0'
    with pytest.raises(ValueError, match=r'unknown field config\.epoch; did you mean'):
        ij.train(QUICKSTART, 'runs/never', epoch=1)
    with pytest.raises(ValueError, match='expected what load_config returns'):
        ij.train(None, 'runs/never')
    with pytest.raises(ValueError, match="has no step '5'"):
        ij.state_at(run, step='5')


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: ij.chain(ij.conv(3), 5), r'chain\(\) has the part 5'),
        (lambda: ij.stage('a', 0, ij.conv(3)), 'stage a repeats 0 times'),
        (lambda: ij.network('x', ij.conv(3)), 'x has the stage Conv'),
        (lambda: ij.network(ij.one('a', ij.conv(3))), 'the name of a network is Stage'),
        (lambda: ij.compile_step(ij.train_step, ij.mesh(), 'pjit'), "mode 'pjit' is"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused_at_once(build, message):
    with pytest.raises(ValueError, match=message):
        build()
