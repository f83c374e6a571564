"""Runs, sweeps, forks, replays and probes as a notebook calls them."""

import math
import signal

import jax
import numpy as np
import pytest
from helpers.paths import QUICKSTART
from helpers.training import TINY, assert_same_runs, records

from inception_jax.config.files import load_config
from inception_jax.lab.fork import fork
from inception_jax.lab.grid import grid_product
from inception_jax.lab.probe import probe
from inception_jax.lab.replay import replay
from inception_jax.lab.sweep import sweep
from inception_jax.lab.sweep_folder import read_sweep
from inception_jax.runs.lock import lock_workdir
from inception_jax.training import loop
from inception_jax.training.run import train
from inception_jax.training.states import open_run, state_at

DIGITS = TINY | {
    'data.source': 'digits',
    'run.batch_size': 96,
    'run.epochs': 2,
    'run.diagnose_every_steps': 5,
}


@pytest.fixture(scope='module')
def config():
    return load_config(QUICKSTART, **DIGITS)


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    return train(config, tmp_path_factory.mktemp('runs') / 'unscaled', residual_scale=1)


def test_a_run_is_trained_in_silence_and_signal_handlers_stay(config, tmp_path, capfd):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    run = train(config, str(tmp_path / 'run'), run={'epochs': 0.2}, seed=3)
    assert ''.join(capfd.readouterr()) == ''
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert run.config['run']['seed'] == 3
    assert run.outcome['steps'] == 3


def test_a_run_has_records_a_verdict_and_curves(trained):
    assert trained.verdict.verdict == 'alive'
    assert trained.records('train')['step'].tolist() == [*range(5, 30, 5), 30]
    assert trained.curves()


def test_the_same_call_resumes_and_another_config_is_refused(trained, config):
    before = records(trained.workdir)
    again = train(config, trained.workdir, residual_scale=1)
    assert records(again.workdir) == before
    with pytest.raises(ValueError, match='residual_scale=1'):
        train(config, trained.workdir, residual_scale=0.5)
    with lock_workdir(trained.workdir), pytest.raises(ValueError, match='at work'):
        train(config, trained.workdir, residual_scale=1)
    with pytest.raises(ValueError, match=r'did you mean config\.hparams'):
        train(config, trained.workdir, residual_scal=1)


@pytest.mark.parametrize('handler', [signal.default_int_handler, signal.SIG_IGN])
def test_an_interrupt_is_raised_after_the_state_is_saved(
    handler, config, trained, tmp_path, monkeypatch, request
):
    before = signal.signal(signal.SIGINT, handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    put_batch, count = loop.put_batch, []

    def interrupt(batch, mesh):
        count.append(1)
        if len(count) == 7:
            signal.raise_signal(signal.SIGINT)
        return put_batch(batch, mesh)

    monkeypatch.setattr(loop, 'put_batch', interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, residual_scale=1)
    assert state_at(tmp_path).step == 7
    train(config, tmp_path, residual_scale=1)
    assert_same_runs(tmp_path, trained.workdir)


def test_a_state_is_that_of_the_run_however_the_run_is_named(trained):
    workdir = trained.workdir
    states = [state_at(run, 17) for run in (trained, str(workdir), open_run(workdir))]
    assert {int(state.step) for state in states} == {17}
    for state in states[1:]:
        jax.tree.map(np.testing.assert_array_equal, state.params, states[0].params)
    with pytest.raises(ValueError, match='it has steps 0 to 30'):
        state_at(trained, 31)


def test_a_probe_is_a_value_that_prints_itself(trained):
    answers = probe(trained, step=17, ask=('scale_gradient', 'scales'))
    assert [x is None for x in answers.scale_gradient] == [True, False, False]
    assert answers.jacobian_gain is None
    assert repr(answers) == "ProbeAnswers('tiny', step=17: scale_gradient, scales)"
    assert str(answers).startswith('tiny after step 17 (epoch 1.13), probed on 96 im')
    assert '<pre>tiny after' in answers._repr_html_()
    with pytest.raises(ValueError, match="question 'hessian' is none of"):
        probe(trained, ask=('hessian',))


def test_a_fork_is_a_run_with_the_parents_past(trained, tmp_path):
    saved = fork(trained, step=17, into=tmp_path / 'saved', residual_scale=0.1)
    assert saved.lineage['changes'] == {'hparams.residual_scale': [1, 0.1]}
    assert saved.outcome['steps_done'] == 30
    with pytest.raises(ValueError, match='cannot change in a fork'):
        fork(trained, step=17, into=tmp_path / 'other', seed=1)


def test_a_replay_says_that_it_is_the_same_run(trained):
    result = replay(trained, 20, 30)
    assert result.same
    assert repr(result).endswith('20 to 30: same)')
    assert 'bit-identical' in str(result)
    with pytest.raises(ValueError, match='must be later'):
        replay(trained, 20, 20)


def test_a_sweep_has_a_table_and_a_map(config, tmp_path, capfd):
    swept = sweep(config, tmp_path, residual_scale=[0.1, 1.0], seed=range(2), epochs=1)
    assert ''.join(capfd.readouterr()) == ''
    rows = swept.table()
    assert [(row['residual_scale'], row['seed']) for row in rows] == [
        *((0.1, 0), (0.1, 1), (1.0, 0), (1.0, 1))
    ]
    assert {row['verdict'] for row in rows} == {'alive'}
    assert repr(read_sweep(tmp_path)) == f"Sweep('{tmp_path}', 4 members: 4 alive)"
    assert str(swept).splitlines()[1].split()[:3] == [
        'residual_scale',
        'seed',
        'epochs',
    ]
    assert swept._repr_html_().count('<tr>') == 5
    assert '<svg' in swept._repr_html_()
    with pytest.raises(ValueError, match='holds a sweep'):
        train(config, tmp_path)
    with pytest.raises(ValueError, match='none of sequential'):
        sweep(config, tmp_path, engine='cloud', seed=[1])


def test_a_grid_takes_lists_ranges_arrays_and_single_values():
    config = {'hparams': {'scale': None, 'rate': 1.0}, 'run': {'seed': 0}}
    grid = {'seed': np.arange(2), 'scale': {'a': 0.1}, 'rate': (math.pi,)}
    same = {'hparams.scale': {'a': 0.1}, 'hparams.rate': math.pi}
    assert grid_product(config, grid) == [
        {'run.seed': 0} | same,
        {'run.seed': 1} | same,
    ]
    with pytest.raises(ValueError, match=r'no value for config\.run\.seed'):
        grid_product(config, {'seed': []})
    assert grid_product(config, {}) == [{}]
