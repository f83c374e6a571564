"""TensorBoard events of a run: an extra, which never ends a run."""

import time
from collections.abc import Iterable
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from inception_jax.runtime.messages import warn


class Board:
    """Writes numbers as TensorBoard events, until the disk refuses one.

    TensorBoard forgets the events of earlier files from `step` on. The writer has no
    thread of its own: the one of tensorboardX dies on a full disk, and then waits.
    """

    def __init__(self, folder: Path, *, step: int):
        self._writer = None
        try:
            self._writer = EventsWriter(str(folder.absolute() / 'events'))
        except OSError as error:
            self._give_up(error)
        self._write([Event(step=step, session_log=SessionLog(status=SessionLog.START))])

    def add(self, numbers: Iterable[tuple[str, float]], step: int) -> None:
        """Adds finite numbers by name."""
        now = time.time()
        self._write(
            [
                Event(wall_time=now, step=step, summary=scalar(name, number))
                for name, number in numbers
            ]
        )

    def close(self) -> None:
        try:
            if self._writer:
                self._writer.close()
        except OSError as error:
            self._give_up(error)

    def _write(self, events: list[Event]) -> None:
        try:
            for event in events if self._writer else ():
                self._writer.write_event(event)
            if self._writer:
                self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._writer = None
        warn(f'no more TensorBoard events are written ({error.strerror or error})')
