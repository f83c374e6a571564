"""Predictions at step 0 against the diagnostics and the probe of a run."""

import json

import pytest
from helpers.training import arguments, records

import inception_jax as ij
from inception_jax.__main__ import main
from inception_jax.lab.predict_stability import StabilityPrediction

CHANGES = {
    'run__epochs': 1,
    'run__log_every_steps': 1,
    'run__diagnose_every_steps': 1,
    'hparams__dropout_rate': 0.2,
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('predictions') / 'run'
    assert main(arguments(workdir, **CHANGES)) == 0
    return workdir


@pytest.fixture(scope='module')
def config(trained):
    return ij.run(trained).config


def test_the_first_batch_has_the_numbers_of_the_first_step(trained, config):
    prediction = ij.predict_stability(config, batches=2)
    first = next(r for r in records(trained) if r['split'] == 'diagnostics')
    assert len(prediction.logits_edge_ratio) == 2
    for name in ('logits_edge_ratio', 'feature_square'):
        assert getattr(prediction, name)[0] == pytest.approx(first[name], rel=1e-4)
    (row,) = [r for r in records(trained) if r['split'] == 'train' and r['step'] == 1]
    assert prediction.learning_rate == pytest.approx(row['learning_rate'])
    assert prediction.whole_edge_ratio is None
    assert 'edge' in str(prediction) or 'stable' in str(prediction)


def test_the_whole_network_has_the_curvature_of_the_probe(trained, config):
    prediction = ij.predict_stability(config, batches=1, whole=True)
    curvature = ij.probe(trained, 0, ask='curvature').curvature
    ratio = curvature['eigenvalue'] / curvature['edge_of_stability']
    assert prediction.whole_edge_ratio == pytest.approx(ratio, rel=1e-3)
    assert sum(prediction.blocks.values()) == pytest.approx(1.0, rel=1e-3)
    assert set(prediction.blocks) == {*ij.run(trained).records('diagnostics')['block']}
    assert 'whole network' in str(prediction)


@pytest.mark.parametrize(
    ('ratios', 'regime'),
    [([0.1, 0.4], 'stable'), ([0.4, 0.9], 'edge'), ([1.9, 2.5], 'overshoot')],
)
def test_the_largest_ratio_decides_the_regime(ratios, regime):
    prediction = StabilityPrediction(
        network='tiny',
        filters=8,
        classes=10,
        batch_size=32,
        learning_rate=0.1,
        momentum=0.9,
        logits_edge_ratio=ratios,
        feature_square=[1.0],
    )
    assert prediction.regime == regime
    assert repr(prediction) == f"StabilityPrediction('tiny': {regime}, {ratios[1]:.3g})"
    assert f'{regime}: the logits layer' in str(prediction)
    assert json.dumps(prediction.to_json())


CONFIG = '--config=configs/quickstart.py'
SYNTHETIC = ('--config.data.source=synthetic:64/4', '--config.network.width=0.02')


def test_the_command_prints_the_prediction(capsys):
    options = [CONFIG, *SYNTHETIC, '--batches=1', '--format=json']
    assert main(['predict-stability', *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed['classes'] == 4
    assert printed['regime'] in ('stable', 'edge', 'overshoot')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([CONFIG, *SYNTHETIC, '--batches=0'], '0 batches; expected 1 or more'),
        ([CONFIG, '--config.hparams.rate=1'], 'rate'),
        (['--config=nowhere.py'], 'nowhere.py'),
    ],
)
def test_a_mistake_is_one_line(options, message, capsys):
    assert main(['predict-stability', *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
