"""Starts a measuring process, sends it requests, and ends it with its process group.

The other end of the pipe is `serving`.
"""

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from inception_jax.runtime.signals import Stopped

SECONDS_TO_END = 5.0


class MeasuringProcess(NamedTuple):
    """A process that answers requests; `name` stands for it in messages.

    `started` is the clock (time.perf_counter) at the start of the process.
    """

    name: str
    process: subprocess.Popen
    stderr: IO[str]
    started: float

    def ask(self, do: str, **request: Any) -> dict:
        """Sends a request and waits for the reply, without a time limit.

        Raises:
          ValueError: the process reports something that the user has to repair.
          Stopped: the process failed or died; the message gives the reason.
        """
        try:
            print(
                json.dumps({'do': do, **request}), file=self.process.stdin, flush=True
            )
            line = self.process.stdout.readline()
        except OSError:
            line = ''
        try:
            reply = json.loads(line)
        except ValueError as error:
            raise Stopped(f'{self.name} died: {_reason(self)}') from error
        if 'mistake' in reply:
            raise ValueError(reply['mistake'])
        if 'failed' in reply:
            raise Stopped(f'{self.name} failed: {reply["failed"]}')
        return reply

    def age(self) -> float:
        """Returns the seconds since the process was started."""
        return time.perf_counter() - self.started


@contextlib.contextmanager
def start_process(
    name: str, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[MeasuringProcess]:
    """Starts a process in its own process group and ends it when the block ends.

    Raises:
      ValueError: the program of `command` cannot be started.
    """
    with tempfile.TemporaryFile('w+') as stderr:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise ValueError(
                f'{command[0]} cannot be started ({error.strerror}); expected a Python'
            ) from error
        try:
            yield MeasuringProcess(name, process, stderr, started)
            _end(process, SECONDS_TO_END)
        finally:
            _end(process, 0.0)


def _end(process: subprocess.Popen, patience: float) -> None:
    """Closes stdin, waits `patience` seconds, then kills the process group."""
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    # After the process has ended, its number may belong to another process.
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


def _reason(measuring: MeasuringProcess) -> str:
    """Returns the signal that killed the process, or the last line of its stderr."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        measuring.process.wait(SECONDS_TO_END)
    measuring.stderr.seek(0)
    lines = [line.strip() for line in measuring.stderr if line.strip()]
    status = measuring.process.poll()
    if status is not None and status < 0:
        return f'{signal.Signals(-status).name}, perhaps for lack of memory'
    return lines[-1] if lines else f'no message, exit status {status}'
