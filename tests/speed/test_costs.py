"""The costs of a compiled step, counted from its program and printed by dry runs."""

import dataclasses
import json
import math
import re

import jax
import pytest
from helpers.configs import config
from helpers.dry_runs import dry_run
from helpers.paths import QUICKSTART
from helpers.training import TINY

from inception_jax.__main__ import main
from inception_jax.config.experiment import experiment
from inception_jax.parallel.mesh import device_mesh
from inception_jax.runtime import memory
from inception_jax.speed import costs
from inception_jax.speed.roofline import CHIPS, largest_batch, roofline
from inception_jax.steps.state import initial_state

PROGRAM = """
  %all-reduce.1 = (f32[64]{0}, bf16[3,3,8]{2,1,0}) all-reduce(%a, %b), channel_id=1
  ROOT %all-reduce.2 = f32[]{:T(128)} all-reduce(%c), channel_id=2
  %ag = (f32[8]{0}, f32[32]{0}) all-gather-start(%d), channel_id=3
  %agd = f32[32]{0} all-gather-done(%ag)
  %fusion = f32[10] fusion(%all-reduce.2), calls=%x
"""


def test_messages_are_counted_with_the_bytes_of_their_results():
    assert costs.messages(PROGRAM) == {
        'all-reduce': costs.Messages(2, 64 * 4 + 72 * 2 + 4),
        'all-gather': costs.Messages(1, 32 * 4),
    }
    assert costs.messages('%x = f32[2] add(%a, %b)') == {}


def tiny(**how):
    fields = {name.split('.', 1)[1]: v for name, v in TINY.items() if 'network' in name}
    sections = {'network': fields | {'classes': 4}, 'run': {'batch_size': 8}}
    return experiment(config(**sections, parallel=how) if how else config(**sections))


@pytest.fixture(scope='module')
def costs_by_mode():
    """Costs of the tiny network's step on four devices, by mode and batch norm."""
    hows = {
        'jit': {},
        'shard_map': {'mode': 'shard_map'},
        'per_device': {'mode': 'shard_map', 'batch_norm': 'per_device'},
    }
    mesh = device_mesh()
    return {name: costs.costs(tiny(**how), mesh) for name, how in hows.items()}


def test_which_messages_a_step_sends(costs_by_mode):
    """Table of docs/scale.md: gradients, statistics and metrics, and batch norm's."""
    norms = 2 + 2 * 3
    chosen = tiny()
    state = initial_state(chosen.network, chosen.recipe, numbers(chosen), seed=0)
    size = 4 * sum(x.size for x in jax.tree.leaves((state.params, state.batch_stats)))
    for step in costs_by_mode.values():
        assert set(step.messages) == {'all-reduce'}
    sums = {name: step.messages['all-reduce'] for name, step in costs_by_mode.items()}
    assert size <= sums['per_device'].bytes < 1.2 * size
    for name in ('jit', 'shard_map'):
        assert sums[name].count - sums['per_device'].count >= norms
    assert sums['shard_map'].bytes > sums['per_device'].bytes


def numbers(chosen):
    from inception_jax.steps.hparams import hparams_for

    filled = chosen.hparams | {'epochs': 1.0, 'steps_per_epoch': 1.0}
    return hparams_for(chosen.network, **filled)


def test_memory_and_flops_of_a_step_are_counted(costs_by_mode):
    step = costs_by_mode['jit']
    assert (step.devices, step.batch_size) == (4, 8)
    assert step.memory == step.arguments + step.temporaries + step.program
    assert step.arguments > 4 * 4 * 2316
    assert step.flops > 0
    assert step.bytes_accessed > step.arguments
    assert step.main_memory > step.arguments


def test_a_roofline_is_what_is_slowest(costs_by_mode):
    chip = CHIPS['TPU v5 lite']
    least = roofline(costs_by_mode['jit'], chip)
    assert least.arithmetic == costs_by_mode['jit'].flops / 197e12
    assert least.memory == costs_by_mode['jit'].main_memory / 819e9
    assert least.step == max(least.arithmetic, least.memory) + least.messages
    sums = costs_by_mode['jit'].messages['all-reduce']
    moved = 1.5 * sums.bytes / chip.link + 1e-5 * sums.count
    assert least.messages == pytest.approx(moved)


def test_a_single_micro_batch_is_counted_and_has_no_roofline(costs_by_mode):
    whole = costs_by_mode['jit']
    recipe = dataclasses.replace(tiny().recipe, accumulation=2)
    several = dataclasses.replace(tiny(), recipe=recipe)
    parts = costs.costs(several, device_mesh())
    assert parts.micro_batches == 2
    assert parts.flops < 0.7 * whole.flops
    assert roofline(parts, CHIPS['TPU v4']) is None


def test_a_sum_that_is_scattered_and_gathered_takes_as_long_as_one(costs_by_mode):
    parts = {
        'reduce-scatter': costs.Messages(1, 25),
        'all-gather': costs.Messages(1, 100),
    }
    whole = {'all-reduce': costs.Messages(2, 100)}
    scattered, summed = (
        roofline(dataclasses.replace(costs_by_mode['jit'], messages=m), CHIPS['TPU v4'])
        for m in (parts, whole)
    )
    assert scattered == pytest.approx(summed)


@pytest.mark.parametrize('limit', [0.5, 7, 8, 99, 1000])
def test_the_largest_batch_is_found_in_few_compilations(limit):
    tried = []

    def memory_of(images):
        tried.append(images)
        memory = 3.0 + 0.1 * images + 0.001 * math.sin(images)
        return math.inf if memory > 1.1 * limit else memory

    batch_size = largest_batch(memory_of, limit, 8)
    assert batch_size == 0 or memory_of(batch_size) <= limit
    assert memory_of(batch_size + 8) > limit
    assert len(tried) <= 10


@pytest.mark.parametrize(
    'option', ['--topology=v5e:2x2', '--largest-batch', '--format=json']
)
def test_options_of_a_dry_run_are_refused_without_it(option, tmp_path, capsys):
    command = ['train', f'--config={QUICKSTART}', f'--workdir={tmp_path / "run"}']
    assert main([*command, option]) == 2
    assert '--dry-run; add' in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_a_dry_run_needs_no_data_and_no_workdir(capsys):
    assert dry_run('--config.data.source=tfds:none_such', '--format=json') == 0
    report = json.loads(capsys.readouterr().out)
    assert report['network'] == 'tiny'
    assert report['messages']['all-reduce']['count'] > 0
    assert dry_run() == 0
    printed = capsys.readouterr().out
    assert '4 x cpu, 2 images on each' in printed
    assert re.search(r'\n {12}[1-9][\d.]* KiB for state and batch\n', printed)
    assert re.search(r'traffic +[1-9][\d.]* MB of main memory a device', printed)
    assert 'MB as XLA counts, also on chip' in printed


def test_a_step_that_needs_more_memory_than_the_machine_is_reported(
    capsys, monkeypatch
):
    monkeypatch.setattr(memory, 'machine_memory', lambda: 2**10)
    assert dry_run() == 1
    printed = capsys.readouterr()
    assert re.search(
        r'the step does not fit: it needs .* KiB, and this machine has 1.00 KiB; use a '
        'smaller batch',
        printed.err,
    )
    assert 'for state and batch' in printed.out


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--largest-batch'], 'the memory of cpu is not known'),
        (['--config.run.batch_size=6'], 'use a multiple of 4, e.g. 4 or 8'),
        (['--topology=v5e:none'], 'no topology v5e:none'),
        (['--config.parallel.batch_norm=per_device'], 'use mode shard_map'),
        (['--config.hparams.learning_rate=-1'], 'learning_rate is -1'),
        (['--config.hparams.dropout_rate=2'], 'dropout_rate is 2'),
        (['--config.hparams.residual_scale=(1.,2.,3.)'], '3 residual scales'),
        (['--config.recipe.init_from=none.safetensors'], 'does not exist'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(options, message, capsys):
    assert dry_run(*options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_without_a_dry_run_a_workdir_is_needed(capsys):
    assert main(['train', f'--config={QUICKSTART}']) == 2
    assert '--workdir DIR is missing' in capsys.readouterr().err
