"""Runs that train some blocks only, as a user starts them."""

import json
import signal

import chex
import jax
import numpy as np
import pytest
from helpers.dry_runs import dry_run
from helpers.sweeps import TWO_STEPS, arguments, steps_of
from helpers.training import apart, last_state, records
from helpers.training import arguments as training

from inception_jax.__main__ import main

TUNED = {
    'recipe__frozen': "('stem', 'a_1')",
    'recipe__rate_factors.a': 0.5,
    'recipe__rate_factors.logits': 2,
}


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('runs') / 'whole'
    assert main(training(workdir, run__epochs=6, **TUNED)) == 0
    return workdir


def test_a_killed_run_with_frozen_blocks_ends_with_the_bits_of_a_whole_one(
    finished, tmp_path
):
    command = training(tmp_path, run__epochs=6, **TUNED)
    status, _ = apart(command, 'step     25', signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert main(command) == 0
    assert records(tmp_path) == records(finished)
    state = last_state(finished)
    jax.tree.map(np.testing.assert_array_equal, last_state(tmp_path), state)
    for name in ('params', 'batch_stats'):
        for block in ('stem', 'a_1'):
            chex.assert_trees_all_equal(state['ema'][name][block], state[name][block])
    diagnosed = [r for r in records(finished) if r['split'] == 'diagnostics']
    assert [ratio > 0 for ratio in diagnosed[-1]['update_ratio']] == [0, 0, 1, 1]


def test_the_config_of_a_run_says_what_is_frozen_and_cannot_change(finished, capsys):
    recipe = json.loads((finished / 'config.json').read_text())['config']['recipe']
    assert recipe['frozen'] == ['stem', 'a_1']
    assert recipe['rate_factors'] == {'a': 0.5, 'logits': 2}
    assert main(['train', f'--workdir={finished}']) == 0
    spelt = TUNED | {'recipe__frozen': 'stem, a_1'}
    assert main(training(finished, run__epochs=6, **spelt)) == 0
    for field, value in (('frozen', 'stem'), ('rate_factors.a', 0.1)):
        changed = TUNED | {f'recipe__{field}': value}
        assert main(training(finished, run__epochs=6, **changed)) == 2
        printed = capsys.readouterr().err
        assert f'config.recipe.{field.split(".")[0]}=' in printed
        assert printed.count('\n') == 1


def test_a_run_from_before_frozen_blocks_existed_resumes(tmp_path, capsys):
    assert main(training(tmp_path, run__epochs=1)) == 0
    path = tmp_path / 'config.json'
    recorded = json.loads(path.read_text())
    for field in ('frozen', 'rate_factors'):
        del recorded['config']['recipe'][field]
    path.write_text(json.dumps(recorded))
    assert main(['train', f'--workdir={tmp_path}']) == 0
    assert main(training(tmp_path, run__epochs=2)) == 0
    assert 'resuming from step 8' in capsys.readouterr().out
    assert main(training(tmp_path, recipe__frozen='stem')) == 2


GRID = "recipe.frozen=trunk,('stem','a_1');seed=0,1"


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    folder = tmp_path_factory.mktemp('swept')
    assert main(arguments(folder, f'--grid={GRID}', **TWO_STEPS)) == 0
    return folder


@pytest.mark.parametrize(
    'engine', ['vmap', pytest.param('devices', marks=pytest.mark.slow)]
)
def test_engines_agree_on_what_is_frozen(swept, tmp_path, engine, capsys):
    options = (f'--grid={GRID}', f'--engine={engine}')
    assert main(arguments(tmp_path, *options, **TWO_STEPS)) == 0
    assert ' 2 train steps compiled or read from disk\n' in capsys.readouterr().out
    members = sorted((swept / 'members').iterdir())
    assert len(members) == 4
    for alone in members:
        together = tmp_path / 'members' / alone.name
        assert steps_of(alone) == steps_of(together)
        chex.assert_trees_all_close(
            last_state(together), last_state(alone), rtol=1e-5, atol=1e-5
        )


def test_rates_of_blocks_are_a_grid_by_name_and_by_part(tmp_path):
    grids = (
        '--grid=rate_factors=None,{"stem": 0.1}',
        '--grid=recipe.rate_factors.logits=10',
    )
    assert main(arguments(tmp_path, *grids, **TWO_STEPS)) == 0
    assert len(list((tmp_path / 'members').iterdir())) == 3


def test_a_dry_run_counts_the_savings_of_a_frozen_trunk(capsys):
    reports = []
    for options in (
        [],
        ['--config.recipe.frozen=trunk', '--config.recipe.rate_factors.logits=2'],
    ):
        assert dry_run('--format=json', *options) == 0
        reports.append(json.loads(capsys.readouterr().out))
    assert reports[1]['recipe']['frozen'] == ['trunk']
    assert reports[1]['recipe']['rate_factors'] == [['logits', 2]]
    assert reports[1]['flops'] < 0.5 * reports[0]['flops']
    messages = [report['messages']['all-reduce']['bytes'] for report in reports]
    assert messages[1] < 0.5 * messages[0]
