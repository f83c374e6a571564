"""TensorBoard events of a run: an extra, which never ends a run."""

import contextlib
import socket
import time
from collections.abc import Iterable
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter
from tensorboardX.summary import scalar

from inception_jax.runtime.messages import warn

# Each flush waits for the disk.
SECONDS_BETWEEN_FLUSHES = 30.0


class Board:
    """Writes numbers as TensorBoard events, until the disk refuses one.

    TensorBoard forgets the events of earlier files from `step` on. The writer has no
    thread of its own: the one of tensorboardX dies on a full disk, and then waits.
    """

    def __init__(self, folder: Path, *, step: int):
        now = time.time()
        name = f'events.out.tfevents.{now:.0f}.{socket.gethostname()}'
        self._writer, self._next_flush = None, 0.0
        try:
            self._writer = RecordWriter(str(folder.absolute() / name))
        except OSError as error:
            self._give_up(error)
        start = SessionLog(status=SessionLog.START)
        self._write(
            Event(wall_time=now, file_version='brain.Event:2'),
            Event(wall_time=now, step=step, session_log=start),
        )

    def add(self, numbers: Iterable[tuple[str, float]], step: int) -> None:
        """Adds finite numbers by name."""
        now = time.time()
        self._write(
            *(
                Event(wall_time=now, step=step, summary=scalar(name, number))
                for name, number in numbers
            )
        )

    def close(self) -> None:
        """Closes the file."""
        if self._writer:
            with contextlib.suppress(OSError):
                self._writer.close()

    def _write(self, *events: Event) -> None:
        if not self._writer:
            return
        try:
            for event in events:
                self._writer.write(event.SerializeToString())
            if time.monotonic() >= self._next_flush:
                self._writer.flush()
                self._next_flush = time.monotonic() + SECONDS_BETWEEN_FLUSHES
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.close()
        self._writer = None
        warn(f'no more TensorBoard events are written ({error.strerror or error})')
