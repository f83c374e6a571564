"""Processes that load images: how many, and what ends them."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest
from helpers.training import arguments, assert_same_runs, environment

from inception_jax.__main__ import main
from inception_jax.data import prefetch
from inception_jax.parallel.mesh import keep_pace

needs_proc = pytest.mark.skipif(
    not Path('/proc/self/stat').exists(), reason='finds processes in /proc'
)
# Seconds after which something hangs, however busy the machine is.
LONGEST = 600
LONG = {'run__epochs': 2000, 'run__checkpoint_every_epochs': 1, 'data__workers': 2}


@pytest.mark.parametrize(
    ('cores', 'workers'), [(1, 0), (8, 0), (15, 0), (16, 2), (112, 14)]
)
def test_a_large_machine_has_a_process_for_eight_cores(cores, workers, monkeypatch):
    room = SimpleNamespace(free=10**12)
    monkeypatch.setattr(prefetch.shutil, 'disk_usage', lambda path: room)
    assert prefetch.worker_count(None, cores, 10**7) == workers
    assert prefetch.worker_count(3, cores, 10**7) == 3
    # As a container has it: 64 MB, which two batches of 10 MB a worker fill.
    room.free = 64 * 10**6
    assert prefetch.worker_count(None, cores, 10**7) == 0
    assert prefetch.worker_count(None, cores, 10**6) == min(workers, 8)


def test_a_share_of_the_cores_counts(monkeypatch):
    monkeypatch.setattr(prefetch.os, 'sched_getaffinity', lambda pid: range(100))
    for text, cores in (('max 100000', 100), ('250000 100000', 3), ('', 100)):
        monkeypatch.setattr(prefetch.Path, 'read_text', lambda path, text=text: text)
        assert prefetch.cores() == cores


def test_a_run_with_workers_is_the_run_without(tmp_path):
    for workers in (0, 2):
        changes = {'run__epochs': 2, 'data__workers': workers}
        assert main(arguments(tmp_path / str(workers), **changes)) == 0
    assert_same_runs(tmp_path / '0', tmp_path / '2')


def test_batches_are_sent_while_an_accelerator_makes_two_steps(monkeypatch):
    waited = []
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    monkeypatch.setattr(jax, 'block_until_ready', waited.append)
    running = []
    for step in range(1, 6):
        # The step's batch was placed before it, the last ones are not waited for.
        running.append(step)
        keep_pace(running)
        assert waited == list(range(1, step - 1))


@contextlib.contextmanager
def training(workdir, begun=lambda workdir, pid: saved(workdir)):
    """Starts a long run with two workers; yields it and their process numbers."""
    with subprocess.Popen(
        [sys.executable, '-m', 'inception_jax', *arguments(workdir, **LONG)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    ) as process:
        try:
            while not begun(workdir, process.pid):
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.02)
            yield process, workers_of(process.pid)
        finally:
            # The workers end by themselves, and Python frees their memory.
            process.kill()


def saved(workdir):
    return any((workdir / 'checkpoints').glob('[0-9]*'))


def workers_of(pid):
    """Returns the process numbers of the workers of a process."""
    return [
        number
        for number in map(int, filter(str.isdigit, os.listdir('/proc')))
        if parent(number) == pid and b'spawn_main' in read_proc(number, 'cmdline')
    ]


def parent(pid):
    """Returns the number of the parent, None for a process that has ended."""
    fields = read_proc(pid, 'stat').rpartition(b')')[2].split()
    return int(fields[1]) if fields and fields[0] != b'Z' else None


def read_proc(pid, name):
    """Reads a file in /proc; a process that ends meanwhile has an empty one."""
    try:
        return Path(f'/proc/{pid}/{name}').read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b''


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@needs_proc
@pytest.mark.parametrize(
    'number', [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_to_all_processes_saves_and_ends_the_run(number, tmp_path):
    with training(tmp_path) as (process, workers):
        assert len(workers) == 2
        os.killpg(process.pid, number)
        assert process.wait(LONGEST) == 128 + number
        assert process.stderr.read().count('\n') <= 1
        wait_for(lambda: not any(map(parent, workers)))


@needs_proc
def test_a_signal_while_the_workers_start_is_no_error(tmp_path):
    with training(tmp_path, lambda workdir, pid: workers_of(pid)) as (process, _):
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(LONGEST) == 128 + signal.SIGINT
        assert process.stderr.read().count('\n') <= 1


@needs_proc
def test_workers_end_with_a_run_that_was_killed(tmp_path):
    with training(tmp_path) as (process, workers):
        process.kill()
        wait_for(lambda: not any(map(parent, workers)))


@needs_proc
def test_a_lost_worker_ends_the_run_with_one_line(tmp_path):
    with training(tmp_path) as (process, workers):
        os.kill(workers[0], signal.SIGKILL)
        assert process.wait(LONGEST) == 1
        # After it Python's own tracker may name memory that the lost one has left.
        first = process.stderr.read().splitlines()[0]
        assert 'a process that loads images has ended (Worker process' in first
        assert first.endswith(
            'lower config.data.workers, to 0 if needed; then run the same command '
            'again to resume from the last checkpoint'
        )
