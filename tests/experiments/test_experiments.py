"""The experiments, at the scale of a test."""

import functools
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import fake_runs, tiny
from helpers.configs import config
from helpers.training import TINY, environment

from experiments import (
    architecture,
    residual_or_not,
    rules,
    scale_and_rate,
    stability,
)
from experiments import study as studies
from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import override
from inception_jax.lab import sweep
from inception_jax.lab.sweep_folder import Sweep
from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.shapes import measure
from inception_jax.reports import report

STUDIES = (stability, residual_or_not, rules, scale_and_rate)
SCALES = ('laptop', 'gpu', 'paper')


def test_table_1_and_the_figures_come_from_the_values(tmp_path, capsys):
    for name, printed in architecture.TABLE_1.items():
        assert architecture.reduction_a_filters(name) == printed
    architecture.main(tmp_path)
    assert len(list(tmp_path.glob('fig_*.svg'))) == len(architecture.FIGURES) == 17
    assert '17x17x1152' in (tmp_path / 'table.md').read_text()
    assert '(1152 Linear)' in next(tmp_path.glob('fig_17*')).read_text()


def flops(planned, images):
    """Returns the FLOPs of a sweep, counted as 3 x 2 x multiply-adds an image."""
    total = 0
    for member in planned.members:
        chosen = experiment(planned.config_of(member))
        macs = sum(block.total('macs') for block in measure(chosen.network))
        total += 6 * macs * chosen.run.epochs * images
    return total


@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('study', STUDIES, ids=lambda module: module.__name__)
def test_every_plan_can_start_and_says_what_it_costs(study, scale, tmp_path):
    chosen = study.SIZES[scale]
    planned = studies.plan(chosen, tmp_path, 'synthetic:50000/10')
    runs = sweep.prepare_members(planned, 'sequential')
    assert len(runs) >= 12
    assert not list(tmp_path.iterdir())
    assert chosen.cost in ' '.join(study.__doc__.split())
    if scale != 'laptop':
        printed = re.search(r'([\d.]+e\d+) FLOPs', chosen.cost)
        images = 1_281_167 if scale == 'paper' else 50_000
        assert flops(planned, images) == pytest.approx(float(printed[1]), rel=0.05)


@pytest.mark.parametrize('study', STUDIES, ids=lambda module: module.__name__)
def test_the_digits_stand_in_with_as_many_steps(study, tmp_path):
    size = study.SIZES['laptop']._replace(grids=('warmup_epochs=0.064',))
    images, digits = (
        sweep.prepare_members(
            studies.plan(size, tmp_path, source), 'sequential'
        ).popitem()[1]
        for source in ('synthetic:50000/10', 'digits')
    )
    assert digits.steps == images.steps
    first = [
        float(p.hparams.warmup_epochs) * p.steps_per_epoch for p in (digits, images)
    ]
    assert first == pytest.approx([100, 100])
    assert not digits.experiment.recipe.flip
    assert len(digits.evaluation_source) == 359


def test_the_two_of_a_pair_cost_the_same_within_2_percent(tmp_path):
    for scale in ('laptop', 'gpu'):
        planned = studies.plan(
            residual_or_not.SIZES[scale], tmp_path, 'synthetic:64/10'
        )
        macs = {}
        for member in planned.members:
            chosen = experiment(planned.config_of(member)).network
            assert chosen.auxiliary is None
            total = sum(block.total('macs') for block in measure(chosen))
            macs.setdefault(planned.config_of(member)['network']['name'], total)
        for plain, residual, _ in residual_or_not.PAIRS:
            assert macs[residual] == pytest.approx(macs[plain], rel=0.02)


def test_a_scale_is_another_start_and_a_lower_rate_of_the_last_layer_alone():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 3)).astype(np.float32)

    @jax.jit
    @jax.value_and_grad
    def loss(params, batch_stats, scale):
        values = {'params': params, 'batch_stats': batch_stats}
        outputs, _ = Classifier(tiny.NET, 0.9).apply(
            values,
            images,
            train=True,
            residual_scale=scale,
            mutable=['batch_stats', 'intermediates'],
        )
        return jnp.square(outputs.features).mean()

    def start(network, scale):
        values = initial_variables(network, seed=0, scheme='truncated_normal')
        return loss(values['params'], values['batch_stats'], np.float32(scale))

    large = scale_and_rate.with_linear_stddev(
        tiny.NET, 'large', 10 * scale_and_rate.STDDEV
    )
    (value, slopes), (same, others) = start(tiny.NET, 1.0), start(large, 0.1)
    np.testing.assert_allclose(same, value, rtol=1e-5)
    for path, slope in jax.tree_util.tree_leaves_with_path(slopes):
        other = functools.reduce(lambda tree, key: tree[key.key], path, others)
        moved = 0.1 if 'linear' in jax.tree_util.keystr(path) else 1.0
        np.testing.assert_allclose(other, moved * slope, rtol=1e-4, atol=1e-6)


def test_a_study_from_its_command_to_its_verdict(tmp_path, monkeypatch, capsys):
    shrunken = studies.Size(
        config='quickstart.py',
        changes=TINY | {'run.epochs': 2, 'run.diagnose_every_steps': 0},
        grids=('rule=constant,zero_init;initializer=he;residual_scale=1.0;seed=0',),
        cost='seconds',
    )
    monkeypatch.setattr(report, 'report', lambda folder: f'report of {folder}')
    arguments = ['--scale=laptop', f'--output={tmp_path}', '--source=synthetic:64/4']
    monkeypatch.setattr(rules, 'SIZES', {'laptop': shrunken})
    assert studies.run(rules, arguments) == 0
    verdict = (tmp_path / 'verdict.md').read_text()
    assert verdict.startswith('# Beyond section 3.3')
    assert '2 members on synthetic:64/4.' in verdict
    assert '**these runs cannot tell**: 0 of 2 runs' in verdict
    assert (tmp_path / 'table.csv').exists()
    assert f'report of {tmp_path}' in capsys.readouterr().out

    def fails(*_, **__):
        raise RuntimeError('out of luck')

    monkeypatch.setattr(sweep, 'train_from', fails)
    more = shrunken._replace(grids=('seed=1',))
    monkeypatch.setattr(rules, 'SIZES', {'laptop': more})
    assert studies.run(rules, arguments) == 1
    assert 'without the 1 that failed' in (tmp_path / 'verdict.md').read_text()


def test_rows_and_measurements_of_a_run_come_from_its_folder(tmp_path):
    base = override(config('cifar10'), {'network.classes': 10})
    finished = Sweep(tmp_path, base, {'a': {}, 'b': {'run.seed': 1}})
    for member in finished.members:
        fake_runs.write_run(finished.workdir(member))
    (first, second) = studies.finished_rows(finished)
    assert first['verdict'] == second['verdict'] == 'alive'
    measured = residual_or_not.measure_member(finished, 'a')
    assert len(measured['curve']) == 10
    assert measured['images_per_second'] == pytest.approx(310, rel=0.1)
    assert measured['macs'] == 9_678_360


@pytest.mark.parametrize('study', STUDIES, ids=lambda module: module.__name__)
def test_help_is_instant_and_a_mistake_is_one_line(study):
    def call(*arguments, program=(study.__file__,)):
        return subprocess.run(
            [sys.executable, *program, *arguments],
            capture_output=True,
            text=True,
            env=environment(),
        )

    said = call('--help')
    assert said.returncode == 0
    assert study.SIZES['paper'].cost in ' '.join(said.stdout.split())
    loaded = call('--help', program=('-X', 'importtime', study.__file__)).stderr
    assert not re.search(r'\| +(jax|numpy)$', loaded, re.M)
    for mistake in (['--scale=tiny'], ['--scal=laptop'], ['--scale=laptop', '--x']):
        said = call(*mistake)
        assert said.returncode == 2
        assert said.stderr.count('\n') == 1
        assert said.stdout == ''


def test_a_study_without_the_configs_of_the_clone_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, 'CONFIGS', tmp_path / 'configs')
    with pytest.raises(ValueError, match='studies need the configs of the repository'):
        studies.plan(rules.SIZES['laptop'], tmp_path)
