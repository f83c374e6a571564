"""What all command lines share: errors of one line, statuses, options and tables."""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inception_jax.lab.grid import ENGINES
from inception_jax.runtime import compilation_cache
from inception_jax.runtime.signals import Stopped

SECONDS_BETWEEN_LINES = 10.0


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def add_engine_and_shard(parser: argparse.ArgumentParser) -> None:
    """Declares how the members of a sweep are run, and which."""
    parser.add_argument(
        '--engine',
        choices=ENGINES,
        default='sequential',
        help='one member after another, one on each device, or all at once on one',
    )
    parser.add_argument(
        '--shard', default='0/1', metavar='I/N', help='run part I of N, from 0 on'
    )


def image_progress(total: int, *, shown: bool = True) -> Callable[[int], None]:
    """Returns what tells people how many images are done: a bar, or lines elsewhere.

    Nothing is `shown` where what is found is on the same screen.
    """
    if not shown:
        return lambda done: None
    # Here, for a machine that only measures networks may have no tqdm.
    from tqdm import tqdm

    last, bar = time.monotonic(), None

    def tell(done: int) -> None:
        nonlocal last, bar
        bar = bar or tqdm(total=total, unit=' images', disable=not sys.stderr.isatty())
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
        elif bar.disable and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f'{done:,} of {total:,} images', file=sys.stderr, flush=True)

    return tell


def print_now(line: str) -> None:
    """Prints a line at once, also where the output is a file."""
    print(line, flush=True)


@contextlib.contextmanager
def mistakes_as_failures() -> Iterator[None]:
    """Makes a line of a user's mistake that shows only when the work is done."""
    try:
        yield
    except ValueError as error:
        raise Stopped(str(error)) from error


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Lets SIGTERM end the work as Ctrl-C does: what is half done is cleared away."""

    def end(number, frame):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def unwritable_as_failure(path: Path) -> Iterator[None]:
    """Makes a line of a file that cannot be written."""
    try:
        yield
    except OSError as error:
        raise Stopped(
            f'{path} cannot be written ({error.strerror or error})'
        ) from error


def run_command(name: str, command: Callable[[], Callable[[], int] | None]) -> int:
    """Does what a user asked for, and returns the exit status.

    A command first does all that a user's mistake can stop, and says so by ValueError;
    what it returns is the work itself, in which an error is ours, but for `Stopped`.
    """
    # JAX reads the variables when it starts, so they are set first.
    compilation_cache.enable_cache(os.environ)
    try:
        work = command()
    except BrokenPipeError:
        return close_broken_pipe()
    except (ValueError, OSError) as error:
        print(f'{name}: {_one_line(error)}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Stopped as error:
        return _failed(name, error)
    try:
        return work() if work else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Stopped as error:
        return _failed(name, error)


def _failed(name: str, error: Stopped) -> int:
    print(f'{name}: {_one_line(error)}', file=sys.stderr)
    return 1


def close_broken_pipe() -> int:
    """Ends a command whose output nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _one_line(error: Exception) -> str:
    """Returns a text without what moves a terminal, for it may quote a file."""
    text = ' '.join(str(error).split())
    return ''.join(c if c.isprintable() else '?' for c in text)


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """Returns a table in Markdown."""
    every = [columns, len(columns) * ['---'], *lines]
    return '\n'.join(f'| {" | ".join(map(str, line))} |' for line in every)


def refuse_arguments(rest: list[str], hint: str = 'see --help') -> None:
    """Raises ValueError if arguments are left that no command knows."""
    if rest:
        raise ValueError(f'unknown argument {rest[0]}; {hint}')
