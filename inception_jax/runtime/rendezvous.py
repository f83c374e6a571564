"""The rendezvous: the processes of one run connect before the run begins.

JAX connects processes too, but waits silently for a missing process, and aborts after a
failure. So each process first connects to process 0 at the coordinator's address. It
keeps this connection when JAX opens another connection at the same address.
"""

import contextlib
import errno
import json
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from inception_jax.runtime.connection import Connection, Message, send
from inception_jax.runtime.messages import printable
from inception_jax.runtime.version import VERSION

# Processes that start together need no note.
FIRST_NOTE_SECONDS, SECONDS_BETWEEN_NOTES = 1.0, 10.0
LONGEST_LINE = 2**24


def connect(address: str, index: int, count: int, *, seconds: float) -> Connection:
    """Connects process `index` of `count` to process 0, and waits for all of them.

    Args:
      address: HOST:PORT, at which process 0 listens.
      seconds: the longest wait for the other processes.

    Raises:
      ValueError: the address cannot be used, or a process is missing after the wait.
    """
    host, port = parse_address(address)
    note = _Notes(address, seconds)
    sockets = (
        _accept_all(host, port, count, note)
        if index == 0
        else {0: _join(host, port, index, count, note)}
    )
    for connection in sockets.values():
        _notice_silence(connection)
    return Connection(index, count, sockets)


def parse_address(address: str) -> tuple[str, int]:
    """Returns host and port of HOST:PORT.

    >>> parse_address('[::1]:8476')
    ('::1', 8476)
    """
    host, _, port = address.rpartition(':')
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(
            f'--coordinator {printable(address)}; expected HOST:PORT with a port up to '
            '65535, e.g. 10.0.0.1:8476'
        )
    return host.strip('[]'), int(port)


class _Notes:
    """Prints which processes are missing, and raises ValueError after the wait."""

    def __init__(self, address: str, seconds: float):
        self._address, self._seconds = address, seconds
        self._began, self._next = time.monotonic(), FIRST_NOTE_SECONDS

    @property
    def waited(self) -> float:
        return time.monotonic() - self._began

    def __call__(self, missing: str) -> None:
        if self.waited > self._seconds:
            raise ValueError(
                f'{missing} did not connect to {self._address} within '
                f'{self._seconds:g} s; start all processes, or wait longer with '
                '--wait-seconds'
            )
        if self.waited >= self._next:
            self._next = self.waited + SECONDS_BETWEEN_NOTES
            print(
                f'waiting for {missing} at {self._address} ({self.waited:.0f} s)',
                file=sys.stderr,
                flush=True,
            )


def _accept_all(
    host: str, port: int, count: int, note: Callable[[str], None]
) -> dict[int, socket.socket]:
    """Returns the connections of process 0 to the other processes."""
    sockets: dict[int, socket.socket] = {}
    try:
        with _listener(host, port) as server:
            server.settimeout(0.2)
            while missing := [i for i in range(1, count) if i not in sockets]:
                note(_names(missing))
                with contextlib.suppress(TimeoutError):
                    _accept(server, count, sockets)
    except ValueError as error:
        _refuse(sockets.values(), str(error))
        raise
    for connection in sockets.values():
        with contextlib.suppress(OSError):  # The listener notices a lost process.
            send(connection, {'go': True})
    return sockets


def _accept(
    server: socket.socket, count: int, sockets: dict[int, socket.socket]
) -> None:
    """Adds the connection of one process; closes connections of other programs."""
    connection, _ = server.accept()
    if (hello := _hello(connection)) is None:
        return
    if reason := _refusal(hello, count, sockets):
        _refuse([connection], reason)
        raise ValueError(reason)
    sockets[hello['hello']] = connection


def _refuse(sockets: Iterable[socket.socket], reason: str) -> None:
    for connection in sockets:
        with contextlib.suppress(OSError):
            send(connection, {'from': 0, 'failed': reason, 'status': 2})
        connection.close()


def _names(indices: list[int]) -> str:
    """Returns numbers of processes in words.

    >>> _names([1]), _names([1, 2, 5])
    ('process 1', 'processes 1, 2, 5')
    """
    shown = ', '.join(map(str, indices[:8])) + (', ...' if len(indices) > 8 else '')
    return f'process{"es" if len(indices) > 1 else ""} {shown}'


def _listener(host: str, port: int) -> socket.socket:
    try:
        # JAX listens at all addresses of the machine too.
        if socket.has_dualstack_ipv6():
            family, dual = socket.AF_INET6, True
        else:
            family, dual = socket.AF_INET, False
        return socket.create_server(('', port), family=family, dualstack_ipv6=dual)
    except OSError as error:
        reason = (
            'another program listens there'
            if error.errno == errno.EADDRINUSE
            else error.strerror
        )
        raise ValueError(
            f'process 0 cannot listen at port {port} of {host} ({reason}); choose '
            'another port for --coordinator'
        ) from None


def _hello(connection: socket.socket) -> Message | None:
    """Returns the first message of a connection, None from another program."""
    connection.settimeout(5.0)
    try:
        hello = _read(connection)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        hello = None
    if not isinstance(hello, dict) or not isinstance(hello.get('hello'), int):
        connection.close()
        return None
    connection.settimeout(None)
    return hello


def _refusal(hello: Message, count: int, sockets: Mapping[int, Any]) -> str | None:
    """Returns why a process cannot join, or None if it can join."""
    index = hello['hello']
    if hello.get('count') != count:
        return (
            f'process {index} was started with --num-processes {hello.get("count")}, '
            f'and process 0 with {count}; give all processes the same number'
        )
    if hello.get('version') != VERSION:
        return (
            f'process {index} has inception_jax {hello.get("version")}, and process 0 '
            f'has {VERSION}; install the same version'
        )
    if not 0 < index < count:
        return f'a process has --process-id {index}; number them 0 to {count - 1}'
    if index in sockets and not _has_ended(sockets[index]):
        return f'two processes have --process-id {index}; number them 0 to {count - 1}'
    return None


def _has_ended(connection: socket.socket) -> bool:
    """Whether the other process has closed a connection, for example when it died."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _join(
    host: str, port: int, index: int, count: int, note: Callable[[str], None]
) -> socket.socket:
    """Returns the connection of this process to process 0."""
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=2.0)
            break
        except OSError as error:
            # The name of a pod cannot be resolved before the pod starts.
            is_unknown = isinstance(error, socket.gaierror)
            note(f'process 0 ({error.strerror})' if is_unknown else 'process 0')
            time.sleep(0.2)
    with contextlib.ExitStack() as stack:
        stack.enter_context(connection)
        answer = _introduce(connection, index, count, note)
        if not isinstance(answer, dict) or not {'go', 'failed'} & answer.keys():
            raise ValueError(
                f'the program at {host}:{port} is not process 0 of this run; choose '
                'another port for --coordinator, or find out why process 0 ended'
            )
        if 'failed' in answer:
            raise ValueError(str(answer['failed']))
        connection.settimeout(None)
        stack.pop_all()
    return connection


def _introduce(
    connection: socket.socket, index: int, count: int, note: Callable[[str], None]
) -> Any:
    """Returns the answer of process 0 once all have joined, None without an answer."""
    connection.settimeout(0.5)
    with contextlib.suppress(ConnectionError, json.JSONDecodeError, UnicodeDecodeError):
        send(connection, {'hello': index, 'count': count, 'version': VERSION})
        while True:
            try:
                return _read(connection)
            except TimeoutError:
                note('the other processes')


def _read(connection: socket.socket) -> Any:
    """Reads one line of JSON, byte by byte: the next line is for another reader."""
    line = bytearray()
    while not line.endswith(b'\n'):
        part = connection.recv(1)
        if not part or len(line) > LONGEST_LINE:
            raise ConnectionError('the connection ended')
        line += part
    return json.loads(line)


def _notice_silence(connection: socket.socket) -> None:
    """Makes the system notice within a minute that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (('KEEPIDLE', 15), ('KEEPINTVL', 5), ('KEEPCNT', 6)):
        if hasattr(socket, f'TCP_{option}'):
            number = getattr(socket, f'TCP_{option}')
            connection.setsockopt(socket.IPPROTO_TCP, number, value)
