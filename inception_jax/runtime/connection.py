"""The connection of the processes of one run: who is missing, who differs, who fails.

JAX connects processes too, but waits in silence for a missing process, and aborts after
a failure. So each process first connects to process 0 at the coordinator's address, and
keeps this connection while JAX opens its own at the same address. Messages are lines of
JSON. A connection that ends without a `bye` means that its process is lost.
"""

import contextlib
import errno
import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from inception_jax.runtime.messages import one_line, printable
from inception_jax.runtime.version import VERSION

Facts = Mapping[str, Any]
Message = dict[str, Any]

# Processes that start together need no note.
FIRST_NOTE_SECONDS, SECONDS_BETWEEN_NOTES = 1.0, 10.0
# Process 0 ends last, because JAX aborts all others without it.
LAST_SECONDS = 5.0
LONGEST_LINE = 2**24
AGAIN = 'find out why, then start all processes again: the run resumes'


class Connection:
    """Process `index` of `count`, connected to process 0 or, as process 0, to all."""

    def __init__(self, index: int, count: int, sockets: Mapping[int, socket.socket]):
        self.index, self.count = index, count
        self._sockets, self._facts = dict(sockets), {}
        self._ending, self._sending = threading.Lock(), threading.Lock()
        self._changed = threading.Condition()
        self._agreed = 0
        self._gone: set[int] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def agree_on(self, facts: Facts) -> None:
        """Waits until all processes give the same facts.

        Raises:
          ValueError: in process 0, another process gives other facts. All other
            processes are ended with the same message.
        """
        facts = json.loads(json.dumps(facts))
        with self._changed:
            number = self._agreed = self._agreed + 1
        if self.index:
            self._send(0, {'facts': facts, 'number': number})
            self._wait(lambda: ('agreed', number) in self._facts)
            return
        self._wait(
            lambda: all((i, number) in self._facts for i in range(1, self.count))
        )
        for other in range(1, self.count):
            theirs = self._facts[other, number]
            if theirs != facts:
                raise ValueError(difference(facts, theirs, other))
        self._send_all({'agreed': number})

    def fail(self, status: int, message: str) -> None:
        """Prints why this process fails, and ends it and all others with a status."""
        self._end(status, message, {'failed': message, 'status': status})

    def close(self) -> None:
        """Takes leave of the other processes, which may then end in any order."""
        self._send_all({'bye': True})

    def _end(self, status: int, message: str, notice: Message | None) -> None:
        self._ending.acquire()  # Never released: only the first reason is printed.
        name = f'process {self.index} of {self.count}'
        print(f'{name}: {one_line(message)}', file=sys.stderr, flush=True)
        if notice:
            self._send_all({'from': self.index} | notice)
        if self.index == 0:
            until = time.monotonic() + LAST_SECONDS
            while len(self._gone) < self.count - 1 and time.monotonic() < until:
                time.sleep(0.05)
        os._exit(status)

    def _send_all(self, message: Message, *, without: int | None = None) -> None:
        for peer in self._sockets:
            if peer != without:
                self._send(peer, message)

    def _send(self, peer: int, message: Message) -> None:
        # The listener notices a connection that is gone.
        with contextlib.suppress(OSError), self._sending:
            _send(self._sockets[peer], message)

    def _wait(self, ready: Callable[[], bool]) -> None:
        with self._changed:
            while not ready():
                self._changed.wait()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for peer, connection in self._sockets.items():
                selector.register(connection, selectors.EVENT_READ, [peer, b'', False])
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._receive(key):
                        selector.unregister(key.fileobj)
                        self._gone.add(key.data[0])

    def _receive(self, key: selectors.SelectorKey) -> bool:
        """Handles the messages of a connection; returns whether it is still open."""
        peer, before, has_left = key.data
        try:
            received = key.fileobj.recv(2**16)
        except OSError:
            received = b''
        if not received:
            if not has_left:
                self._lost(peer)
            return False
        *lines, key.data[1] = (before + received).split(b'\n')
        for line in lines:
            message = json.loads(line)
            key.data[2] |= 'bye' in message
            self._handle(peer, message)
        return True

    def _handle(self, peer: int, message: Message) -> None:
        if 'failed' in message:
            if self.index == 0:
                self._send_all(message, without=peer)
            reason = f'process {message["from"]} has failed: {message["failed"]}'
            self._end_soon(message['status'], reason)
        with self._changed:
            if 'facts' in message:
                self._facts[peer, message['number']] = message['facts']
            if 'agreed' in message:
                self._facts['agreed', message['agreed']] = True
            self._changed.notify_all()

    def _lost(self, peer: int) -> None:
        reason = f'process {peer} is lost, killed or with its machine; {AGAIN}'
        if self.index == 0:
            self._send_all(
                {'from': peer, 'failed': 'it is lost', 'status': 1}, without=peer
            )
        self._end_soon(1, reason)

    def _end_soon(self, status: int, reason: str) -> None:
        """Ends this process from a thread of its own, so that the listener listens."""
        end = threading.Thread(target=self._end, args=(status, reason, None))
        end.start()


def difference(ours: Facts, theirs: Facts, other: int) -> str:
    """Returns the message about the first fact in which two processes differ.

    >>> difference({'config.run.seed': 0}, {'config.run.seed': 1}, 2)
    'process 2 has config.run.seed 1, and process 0 has 0; start all processes with \
the same command, versions and files'
    """
    names = [n for n in {**ours, **theirs} if ours.get(n) != theirs.get(n)]
    more = f' (and {len(names) - 1} more differ)' if len(names) > 1 else ''
    their_value, our_value = (f'{x.get(names[0])!r:.80}' for x in (theirs, ours))
    return (
        f'process {other} has {names[0]} {their_value}, and process 0 has {our_value}'
        f'{more}; start all processes with the same command, versions and files'
    )


def connect(address: str, index: int, count: int, *, seconds: float) -> Connection:
    """Connects process `index` of `count` to process 0, and waits for all of them.

    Args:
      address: HOST:PORT, at which process 0 listens.
      seconds: how long to wait for the others.

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
    """Prints now and then for whom this process waits, and when it gives up."""

    def __init__(self, address: str, seconds: float):
        self._address, self._seconds = address, seconds
        self._began, self._next = time.monotonic(), FIRST_NOTE_SECONDS

    @property
    def waited(self) -> float:
        return time.monotonic() - self._began

    def __call__(self, missing: str) -> None:
        if self.waited > self._seconds:
            raise ValueError(
                f'{missing} did not come to {self._address} within '
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
        _send(connection, {'go': True})
    return sockets


def _accept(
    server: socket.socket, count: int, sockets: dict[int, socket.socket]
) -> None:
    """Adds the connection of one process; drops that of a stranger."""
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
            _send(connection, {'from': 0, 'failed': reason, 'status': 2})
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
    """Returns the first message of a connection, None if a stranger connects."""
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
    """Returns why a process cannot join, None if it can."""
    index = hello['hello']
    if hello.get('count') != count:
        return (
            f'process {index} was started with --num-processes {hello.get("count")}, '
            f'and process 0 with {count}; give all the same number'
        )
    if hello.get('version') != VERSION:
        return (
            f'process {index} has inception_jax {hello.get("version")}, and process 0 '
            f'has {VERSION}; install the same version'
        )
    if index in sockets or not 0 < index < count:
        return f'two processes have --process-id {index}; number them 0 to {count - 1}'
    return None


def _join(
    host: str, port: int, index: int, count: int, note: Callable[[str], None]
) -> socket.socket:
    """Returns the connection of another process to process 0."""
    while True:
        try:
            connection = socket.create_connection((host, port), timeout=2.0)
            break
        except socket.gaierror as error:
            raise ValueError(
                f'--coordinator {host}:{port}: there is no such host ({error.strerror})'
            ) from None
        except OSError:
            note('process 0')
            time.sleep(0.2)
    with contextlib.ExitStack() as stack:
        stack.enter_context(connection)
        answer = _introduce(connection, index, count, note)
        if not isinstance(answer, dict) or not {'go', 'failed'} & answer.keys():
            raise ValueError(
                f'what listens at {host}:{port} is not process 0 of this run; choose '
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
    """Returns the answer of process 0 when all are there, None if it is no process."""
    connection.settimeout(0.5)
    with contextlib.suppress(ConnectionError, json.JSONDecodeError, UnicodeDecodeError):
        _send(connection, {'hello': index, 'count': count, 'version': VERSION})
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


def _send(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message).encode() + b'\n')


def _notice_silence(connection: socket.socket) -> None:
    """Makes the system notice within a minute that the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (('KEEPIDLE', 15), ('KEEPINTVL', 5), ('KEEPCNT', 6)):
        if hasattr(socket, f'TCP_{option}'):
            number = getattr(socket, f'TCP_{option}')
            connection.setsockopt(socket.IPPROTO_TCP, number, value)
