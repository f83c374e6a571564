"""One run on two processes of two devices each, killed and started again.

On as many processes it has the bits of an undisturbed run. On one process with four
devices it is equal up to rounding: sums over processes are taken in another order.
"""

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import chex
import jax
import pytest
from helpers.images import images
from helpers.training import arguments, environment, records

from inception_jax.__main__ import main
from inception_jax.runs import checkpoints
from inception_jax.runs.lock import lock_workdir
from inception_jax.training import resume
from inception_jax.training.states import open_run

RUN = {
    'run__epochs': 6,
    'run__checkpoint_every_epochs': 1,
    'run__log_every_steps': 2,
    'hparams__learning_rate': 0.001,
}


# One process after another counts from here. Ports of which the kernel gives none away,
# so that a free one is still free when the coordinator takes it.
PORTS = itertools.count(10_240 + 8 * (os.getpid() % 2_560))


def free_port():
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(('127.0.0.1', port))
            return port


class Two:
    """Two processes with two devices each, and what they print.

    `second` are changes, and `variables` of the environment, of the second alone. The
    first stops after a line that begins with `pause`, until `ended` is called.
    """

    def __init__(
        self, workdir, *, second=(), variables=(), port=None, pause=None, **changes
    ):
        port = port or free_port()
        changes = [RUN | changes, RUN | changes | dict(second)]
        variables = [{}, dict(variables)]
        self.workdir, self.pause = workdir, pause
        paused = ['helpers.paused', pause] if pause else ['inception_jax']
        self.all = [
            subprocess.Popen(
                [
                    *(sys.executable, '-m'),
                    *(['inception_jax'] if number else paused),
                    *arguments(workdir, **changes[number]),
                    f'--coordinator=127.0.0.1:{port}',
                    f'--process-id={number}',
                    '--num-processes=2',
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment() | {'JAX_NUM_CPU_DEVICES': '2'} | variables[number],
            )
            for number in range(2)
        ]

    def wait_for_pause(self):
        assert any(line.startswith(self.pause) for line in self.all[0].stdout)

    def wait_for(self, records):
        path = self.workdir / 'metrics.jsonl'
        while not path.exists() or path.read_text().count('\n') < records:
            assert all(process.poll() is None for process in self.all)
            time.sleep(0.02)

    def succeeds(self):
        statuses, printed = self.ended()
        assert statuses == [0, 0], printed

    def ended(self, within=600):
        outputs = [process.communicate(timeout=within) for process in self.all]
        return [p.returncode for p in self.all], outputs


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Two processes, undisturbed."""
    workdir = tmp_path_factory.mktemp('whole')
    statuses, printed = Two(workdir).ended()
    assert statuses == [0, 0], printed
    assert 'step     48' in printed[0][0]
    assert 'step' not in printed[1][0]
    return workdir


def state(workdir):
    """Returns the newest state as this one process with four devices reads it."""
    newest = resume.newest_checkpoint(open_run(workdir))
    return dataclasses.replace(newest, key=jax.random.key_data(newest.key))


def close(run, other):
    """Compares runs to 1e-6: states and losses; a zero more or less is no rounding."""
    pairs = zip(records(run), records(other), strict=True)
    for a, b in ((a, b) for a, b in pairs if a['split'] != 'diagnostics'):
        assert (a['split'], a['step']) == (b['split'], b['step'])
        assert a['cross_entropy'] == pytest.approx(b['cross_entropy'], 1e-6, 1e-6)
    chex.assert_trees_all_close(state(run), state(other), rtol=1e-6, atol=1e-6)


def test_two_processes_are_one_with_as_many_devices(whole, tmp_path):
    assert main(arguments(tmp_path, **RUN)) == 0
    close(tmp_path, whole)
    assert json.loads((whole / 'verdict.json').read_text())['steps_done'] == 48


@pytest.mark.slow
def test_two_killed_processes_resume_bit_identical_to_an_undisturbed_run(
    whole, tmp_path
):
    two = Two(tmp_path / 'two', pause='step     10')
    two.wait_for_pause()
    two.all[1].kill()
    (first, second), printed = two.ended()
    assert (first, second) in ((1, -signal.SIGKILL), (-signal.SIGABRT, -signal.SIGKILL))
    said = ('process 0 of 2: process 1 is lost', 'another task died')[first != 1]
    assert said in printed[0][1]
    two = Two(tmp_path / 'two', pause='step     30')
    two.wait_for_pause()
    for process in two.all:
        process.kill()
    assert two.ended()[0] == [-signal.SIGKILL] * 2
    kept = checkpoints.checkpoint_steps(tmp_path / 'two' / 'checkpoints')
    assert 8 <= max(kept) < 48
    shutil.copytree(tmp_path / 'two', tmp_path / 'one')
    Two(tmp_path / 'two').succeeds()
    assert records(tmp_path / 'two') == records(whole)
    chex.assert_trees_all_equal(state(tmp_path / 'two'), state(whole))
    assert main(arguments(tmp_path / 'one', **RUN)) == 0
    close(tmp_path / 'one', whole)


@pytest.mark.slow
def test_both_processes_end_if_one_loses_its_data_and_resume_later(tmp_path):
    images(tmp_path / 'data')
    lost = tmp_path / 'data' / 'train' / '2' / '5.png'
    content = lost.read_bytes()
    rarely = {'run__checkpoint_every_epochs': 2, 'run__evaluate_every_epochs': 10}
    source = {'data__source': f'folder:{tmp_path / "data"}'}
    changes = source | rarely | {'run__epochs': 20}
    whole, workdir = tmp_path / 'whole', tmp_path / 'run'
    Two(whole, **changes).succeeds()
    two = Two(workdir, pause='step     14', **changes)
    two.wait_for_pause()
    lost.write_bytes(b'')
    statuses, printed = two.ended()
    assert 1 in statuses
    assert set(statuses) <= {1, -signal.SIGABRT}
    assert any('cannot decode image 2/5.png' in text for _, text in printed)
    lost.write_bytes(content)
    assert 8 <= max(checkpoints.checkpoint_steps(workdir / 'checkpoints')) < 80
    Two(workdir, **changes).succeeds()
    assert records(workdir) == records(whole)
    chex.assert_trees_all_equal(state(workdir), state(whole))


@pytest.mark.slow
def test_a_process_does_not_wait_for_another_that_cannot_begin(tmp_path):
    images(tmp_path / 'data')
    changes = {'data__source': f'folder:{tmp_path / "data"}'}
    with lock_workdir(tmp_path / 'run'):
        statuses, printed = Two(tmp_path / 'run', **changes).ended()
    assert statuses[0] == 2
    assert statuses[1] in (2, -signal.SIGABRT)
    assert 'is at work in' in printed[0][1]


def test_each_process_reports_in_a_line_that_no_devices_start(tmp_path, monkeypatch):
    monkeypatch.setenv('JAX_PLATFORMS', 'none')
    statuses, printed = Two(tmp_path / 'run').ended()
    # The second may be ended by JAX where the first, which coordinates, is gone.
    assert statuses[0] == 2, printed
    assert statuses[1] in (2, -signal.SIGABRT)
    errors = printed[0][1]
    assert errors.startswith('process 0 of 2: JAX cannot start its devices')
    assert errors.count('\n') == 1
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_a_signal_to_one_saves_and_ends_both_at_the_same_step(tmp_path):
    rarely = {'run__checkpoint_every_epochs': 300, 'run__evaluate_every_epochs': 300}
    two = Two(tmp_path, run__epochs=300, **rarely)
    two.wait_for(4)
    two.all[1].send_signal(signal.SIGTERM)
    statuses, printed = two.ended()
    assert statuses == [128 + signal.SIGTERM] * 2, printed
    (step,) = checkpoints.checkpoint_steps(tmp_path / 'checkpoints')
    assert 4 < step < 2400
    assert 'run the same command again to resume' in printed[0][0]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['--process-id=0'], 'are missing; give all three'),
        (
            ['--coordinator=h:1', '--process-id=2', '--num-processes=2'],
            '--process-id 2 of --num-processes 2; expected 0 to 1',
        ),
        (['--distributed'], 'the processes cannot connect'),
    ],
)
def test_a_mistake_is_one_line_and_status_2(options, message, tmp_path):
    completed = subprocess.run(
        [
            *(sys.executable, '-m', 'inception_jax'),
            *arguments(tmp_path / 'run'),
            *options,
        ],
        env=environment() | {'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 2
    assert message in completed.stderr
    assert completed.stderr.count('\n') == 1
    assert not (tmp_path / 'run').exists()


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ('second', 'message'),
    [
        ({'run__seed': 1}, 'has config.run.seed 1, and process 0 has 0'),
        ({'run__epochs': -1}, 'config.run.epochs is -1'),
        pytest.param(
            {'hparams__learning_rate': 0.01}, 'has config.hparams.learning', marks=slow
        ),
        pytest.param({'run__epochs': 7}, 'has config.run.epochs 7', marks=slow),
        pytest.param({'run__batch_size': 16}, 'has config.run.batch_size', marks=slow),
        pytest.param({'data__source': 'synthetic:64/5'}, 'config.data.so', marks=slow),
        pytest.param({'data__source': 'folder:nowhere'}, 'nowhere', marks=slow),
        pytest.param({'recipe__execution': 'plain'}, 'recipe.execution', marks=slow),
        pytest.param({'parallel__mode': 'shard_map'}, 'parallel.mode', marks=slow),
        pytest.param({'network__name': 'helpers.tiny:PLAIN'}, 'network.n', marks=slow),
    ],
)
def test_processes_that_differ_both_end_with_a_line_and_status_2(
    second, message, tmp_path
):
    began = time.monotonic()
    statuses, printed = Two(tmp_path / 'run', second=second).ended()
    assert time.monotonic() - began < 60
    check_lines(statuses, printed, message)
    assert not (tmp_path / 'run').exists()


@slow
@pytest.mark.parametrize(
    ('variables', 'message'),
    [
        ({'JAX_DEFAULT_PRNG_IMPL': 'rbg'}, 'jax_default_prng_impl'),
        ({'JAX_ENABLE_X64': '1'}, 'jax_enable_x64'),
        ({'JAX_NUM_CPU_DEVICES': '1'}, 'devices'),
        ({'JAX_PLATFORMS': 'none'}, 'JAX cannot start its devices'),
    ],
)
def test_settings_of_jax_that_differ_end_both(variables, message, tmp_path):
    statuses, printed = Two(tmp_path / 'run', variables=variables).ended()
    check_lines(statuses, printed, message)


def check_lines(statuses, printed, message):
    assert statuses == [2, 2], printed
    for number, (_, errors) in enumerate(printed):
        lines = [x for x in errors.splitlines() if not x.startswith('waiting for')]
        (line,) = lines
        assert line.startswith(f'process {number} of 2: ')
        assert message in line
