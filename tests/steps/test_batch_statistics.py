"""Batch statistics: of more than one value, and over enough steps."""

import dataclasses

import pytest
from helpers.paths import QUICKSTART
from helpers.training import TINY, arguments

from inception_jax.__main__ import main
from inception_jax.config.experiment import experiment
from inception_jax.config.files import load_config
from inception_jax.networks import avg_pool, chain, conv, network, one
from inception_jax.networks.ops import Norm
from inception_jax.steps.batch_statistics import check_batch_norm, short_run_note
from inception_jax.training.prepare import prepare
from inception_jax.training.summary import run_header

# The last batch norm sees a grid of 1x1.
POINT = network(
    'point',
    one('stem', conv(4, 3, 2)),
    one('last', chain(avg_pool(8, 8), Norm(relu=True))),
    classes=3,
    input_size=16,
)


def test_a_batch_norm_of_one_value_is_refused_unless_it_is_frozen():
    with pytest.raises(ValueError, match='last/norm0 would see one value per channel'):
        check_batch_norm(POINT, 1)
    check_batch_norm(POINT, 2)
    check_batch_norm(POINT, 1, frozen=('last',))
    check_batch_norm(dataclasses.replace(POINT, input_size=32), 1)


@pytest.mark.parametrize(('batch_size', 'accumulation'), [(4, 1), (16, 4)])
def test_a_run_whose_batch_norm_sees_one_value_does_not_start(
    batch_size, accumulation, tmp_path, capsys
):
    fields = {
        'parallel.mode': 'shard_map',
        'parallel.batch_norm': 'per_device',
        'network.input_size': 2,
        'run.batch_size': batch_size,
        'recipe.accumulation': accumulation,
    }
    for dry in ([], ['--dry-run', '--config.network.classes=4']):
        assert main([*arguments(tmp_path, **fields), *dry]) == 2
        printed = capsys.readouterr().err
        assert 'would see one value per channel: 1 image' in printed
        assert printed.count('\n') == 1


def test_a_run_too_short_for_its_statistics_is_noted():
    note = short_run_note(0.9997, 60)
    assert 'about 3,333 steps, and the run has 60' in note
    assert '98 % initial values' in note
    assert 'batch_norm_decay to about 0.92' in note
    assert short_run_note(0.9, 90) is None
    assert short_run_note(0.0, 1) is None


@pytest.mark.parametrize(('decay', 'noted'), [(0.9997, True), (0.9, False)])
def test_the_header_of_a_short_run_has_the_note(decay, noted, tmp_path):
    changes = TINY | {'recipe.batch_norm_decay': decay}
    run = prepare(experiment(load_config(QUICKSTART, **changes)), tmp_path)
    assert ('note: batch_norm_decay 0.9997' in run_header(run, 0)) is noted
