"""The connection of the processes of one run, which reports failures and differences.

Messages are lines of JSON. A connection that ends without a `bye` means that its
process is lost.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from inception_jax.runtime.messages import one_line

Facts = Mapping[str, Any]
Message = dict[str, Any]

# Process 0 ends last, because JAX aborts all others without it.
LAST_SECONDS = 5.0
AGAIN = 'find out why, then start all processes again: the run resumes'


class Connection:
    """Process `index` of `count`, connected to process 0 or, as process 0, to all."""

    def __init__(self, index: int, count: int, sockets: Mapping[int, socket.socket]):
        self.index, self.count = index, count
        self._sockets, self._facts = dict(sockets), {}
        self._ending, self._sending = threading.Lock(), threading.Lock()
        self._changed = threading.Condition()
        self._agreed = 0
        self._closed: set[int] = set()
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
            if (other_facts := self._facts[other, number]) != facts:
                raise ValueError(difference(facts, other_facts, other))
        self._send_all({'agreed': number})

    def fail(self, status: int, message: str) -> None:
        """Prints why this process fails, and ends all processes with a status."""
        self._end(status, message, {'failed': message, 'status': status})

    def close(self) -> None:
        """Announces that this process ends normally; the others may end later."""
        self._send_all({'bye': True})

    def _end(self, status: int, message: str, notice: Message | None) -> None:
        self._ending.acquire()  # Never released: only the first reason is printed.
        name = f'process {self.index} of {self.count}'
        with contextlib.suppress(OSError):  # A log may be on a full disk.
            print(f'{name}: {one_line(message)}', file=sys.stderr, flush=True)
        if notice:
            self._send_all({'from': self.index} | notice)
        if self.index == 0:
            until = time.monotonic() + LAST_SECONDS
            while len(self._closed) < self.count - 1 and time.monotonic() < until:
                time.sleep(0.05)
        os._exit(status)

    def _send_all(self, message: Message, *, except_peer: int | None = None) -> None:
        for peer in self._sockets:
            if peer != except_peer:
                self._send(peer, message)

    def _send(self, peer: int, message: Message) -> None:
        # The listener notices a closed connection.
        with contextlib.suppress(OSError), self._sending:
            send(self._sockets[peer], message)

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
                        self._closed.add(key.data[0])

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
                self._send_all(message, except_peer=peer)
            reason = f'process {message["from"]} has failed: {message["failed"]}'
            self._end_soon(message['status'], reason)
        with self._changed:
            if 'facts' in message:
                self._facts[peer, message['number']] = message['facts']
            if 'agreed' in message:
                self._facts['agreed', message['agreed']] = True
            self._changed.notify_all()

    def _lost(self, peer: int) -> None:
        reason = f'process {peer} is lost: it was killed or its machine failed; {AGAIN}'
        if self.index == 0:
            notice = {'from': peer, 'failed': 'its connection was lost', 'status': 1}
            self._send_all(notice, except_peer=peer)
        self._end_soon(1, reason)

    def _end_soon(self, status: int, reason: str) -> None:
        """Ends this process from another thread, so that the listener can continue."""
        end = threading.Thread(target=self._end, args=(status, reason, None))
        end.start()


def difference(facts: Facts, other_facts: Facts, other: int) -> str:
    """Returns the message about the first fact in which two processes differ.

    >>> difference({'config.run.seed': 0}, {'config.run.seed': 1}, 2)
    'process 2 has config.run.seed 1, and process 0 has 0; start all processes with \
the same command, versions and files'
    """
    names = [
        name
        for name in {**facts, **other_facts}
        if facts.get(name) != other_facts.get(name)
    ]
    more = f' (and {len(names) - 1} more differ)' if len(names) > 1 else ''
    value, other_value = (x.get(names[0]) for x in (facts, other_facts))
    return (
        f'process {other} has {names[0]} {other_value!r:.80}, and process 0 has '
        f'{value!r:.80}{more}; start all processes with the same command, versions and '
        'files'
    )


def send(connection: socket.socket, message: Message) -> None:
    connection.sendall(json.dumps(message).encode() + b'\n')
