"""Processes that wait for each other, differ, fail and are lost."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers.paths import ROOT

from inception_jax.runtime import rendezvous
from inception_jax.runtime.rendezvous import connect

PORTS = itertools.count(10_240 + 8 * ((os.getpid() + 1_200) % 2_560))


def free_port():
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(('127.0.0.1', port))
            return port


class Group:
    """Processes without JAX; `code` is what each does with its connection `c`."""

    def __init__(self, *codes, port=None):
        address = f'127.0.0.1:{port or free_port()}'
        start = (
            'import sys, time; from inception_jax.runtime.rendezvous import connect; '
            f'c = connect("{address}", {{}}, {len(codes)}, seconds=30); '
            'print("here", flush=True); '
        )
        self.processes = [
            subprocess.Popen(
                [sys.executable, '-c', start.format(index) + code],
                env=os.environ | {'PYTHONPATH': str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index, code in enumerate(codes)
        ]

    def ended(self):
        """Returns exit statuses, and the lines of stderr without those on waiting."""
        errors = [process.communicate(timeout=60)[1] for process in self.processes]
        lines = [
            [line for line in error.splitlines() if not line.startswith('waiting')]
            for error in errors
        ]
        return [process.returncode for process in self.processes], lines


def test_processes_with_the_same_facts_go_on_and_end_in_any_order():
    agree = 'c.agree_on({"a": 1}); c.agree_on({"b": (2,)}); '
    group = Group(*[f'{agree} time.sleep({s}); c.close()' for s in (0, 0.3, 0.1)])
    assert group.ended() == ([0, 0, 0], [[], [], []])


def test_a_failure_ends_all_with_its_reason_and_status():
    wait = 'time.sleep(50)'
    statuses, lines = Group(wait, wait, 'c.fail(2, "no such\\nfile")').ended()
    assert statuses == [2, 2, 2]
    assert lines[2] == ['process 2 of 3: no such file']
    reason = 'process 2 has failed: no such file'
    assert lines[:2] == [[f'process {i} of 3: {reason}'] for i in (0, 1)]


def test_a_difference_is_a_line_in_each_process():
    first = (
        'import os\ntry: c.agree_on({"seed": 0})\n'
        'except ValueError as error: c.fail(2, str(error))'
    )
    codes = [first.replace('import os\n', '\n'), 'c.agree_on({"seed": 1})']
    statuses, lines = Group(*codes).ended()
    assert statuses == [2, 2]
    for (line,) in lines:
        assert 'process 1 has seed 1, and process 0 has 0; start all' in line


@pytest.mark.parametrize('lost', [0, 1, 2])
def test_a_process_that_is_killed_ends_the_others_at_once(lost):
    group = Group(*['time.sleep(600)'] * 3)
    for process in group.processes:
        assert process.stdout.readline() == 'here\n'
    group.processes[lost].kill()
    statuses, lines = group.ended()
    for index, (status, errors) in enumerate(zip(statuses, lines, strict=True)):
        if index == lost:
            assert (status, errors) == (-signal.SIGKILL, [])
        else:
            assert (status, len(errors)) == (1, 1)
            assert f'process {lost}' in errors[0]
            assert 'lost' in errors[0]


def test_a_missing_process_is_named_and_not_awaited_for_ever(capsys, monkeypatch):
    monkeypatch.setattr(rendezvous, 'FIRST_NOTE_SECONDS', 0.0)
    address = f'127.0.0.1:{free_port()}'
    with pytest.raises(ValueError, match='processes 1, 2 did not connect to 127'):
        connect(address, 0, 3, seconds=0.3)
    with pytest.raises(ValueError, match='process 0 did not connect to 127'):
        connect(address, 2, 3, seconds=0.3)
    notes = capsys.readouterr().err.splitlines()
    assert notes == [
        f'waiting for processes 1, 2 at {address} (0 s)',
        f'waiting for process 0 at {address} (0 s)',
    ]


def test_a_port_that_is_taken_is_a_line():
    with socket.create_server(('', 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match='another program listens there'):
            connect(f'127.0.0.1:{port}', 0, 2, seconds=5)


def test_a_stranger_at_the_port_is_no_process(monkeypatch):
    with socket.create_server(('127.0.0.1', 0)) as other:
        port = other.getsockname()[1]

        def answer():
            stranger, _ = other.accept()
            stranger.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
            stranger.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ValueError, match='is not process 0 of this run'):
            connect(f'127.0.0.1:{port}', 1, 2, seconds=5)


@pytest.mark.parametrize(
    ('index', 'count', 'message'),
    [
        (1, 3, 'was started with --num-processes 3, and process 0 with 2'),
        (0, 2, 'another program listens there'),
    ],
)
def test_processes_that_count_differently_are_refused(index, count, message):
    port, errors = free_port(), []

    def first():
        try:
            connect(f'127.0.0.1:{port}', 0, 2, seconds=1)
        except ValueError as error:
            errors.append(str(error))

    thread = threading.Thread(target=first)
    thread.start()
    time.sleep(0.2)
    with pytest.raises(ValueError, match=message):
        connect(f'127.0.0.1:{port}', index, count, seconds=1)
    thread.join()
    assert index == 0 or message in errors[0]


@pytest.mark.parametrize('address', ['h', 'h:', ':1', 'h:x', 'h:0', 'h:65536', 'h:-1'])
def test_an_address_without_host_or_port_is_refused(address):
    with pytest.raises(ValueError, match='expected HOST:PORT'):
        connect(address, 0, 2, seconds=1)
