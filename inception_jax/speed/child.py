"""A process that measures: started, asked in lines of JSON, and ended whatever comes.

It has a process group of its own, which is ended with it.
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


class Child(NamedTuple):
    """A process that answers requests, known to people by its name."""

    name: str
    process: subprocess.Popen
    words: IO[str]
    born: float

    def ask(self, do: str, **request: Any) -> dict:
        """Returns the answer to a request, however long it takes.

        Raises:
          ValueError: it has found a mistake of the user's.
          Stopped: it has failed or died; the text says why.
        """
        try:
            print(
                json.dumps({'do': do, **request}), file=self.process.stdin, flush=True
            )
            line = self.process.stdout.readline()
        except OSError:
            line = ''
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise Stopped(f'{self.name} died: {_last_words(self)}') from error
        if 'mistake' in answer:
            raise ValueError(answer['mistake'])
        if 'failed' in answer:
            raise Stopped(f'{self.name} failed: {answer["failed"]}')
        return answer

    def age(self) -> float:
        """Returns the seconds since it was started."""
        return time.perf_counter() - self.born


@contextlib.contextmanager
def child(
    name: str, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Child]:
    """Starts a process, in this environment, for the time of a block.

    Raises:
      ValueError: there is no such program.
    """
    with tempfile.TemporaryFile('w+') as words:
        born = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise ValueError(
                f'{command[0]} cannot be started ({error.strerror}); expected a Python'
            ) from error
        try:
            yield Child(name, process, words, born)
            _end(process, SECONDS_TO_END)
        finally:
            _end(process, 0.0)


def _end(process: subprocess.Popen, patience: float) -> None:
    """Ends the requests and, if the process stays longer, its group."""
    with contextlib.suppress(OSError):
        process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    # One that has ended may have given its number to another.
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    process.stdout.close()


def _last_words(one: Child) -> str:
    """Returns the last line of a process's stderr, or how it ended."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        one.process.wait(SECONDS_TO_END)
    one.words.seek(0)
    lines = [line.strip() for line in one.words if line.strip()]
    status = one.process.poll()
    if status is not None and status < 0:
        how = signal.Signals(-status).name
        return f'{how}, perhaps for want of memory'
    return lines[-1] if lines else f'without a word, exit status {status}'
