"""Shared parts of commands: one-line errors, exit statuses, options and tables."""

import argparse
import contextlib
import itertools
import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inception_jax.lab.grid import ENGINES
from inception_jax.runtime import compilation_cache
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.choices import nearest
from inception_jax.runtime.messages import (
    one_line,
    os_error_text,
    printable,
    printable_lines,
    warn,
)
from inception_jax.runtime.paths import local_path
from inception_jax.runtime.signals import Stopped

SECONDS_BETWEEN_LINES = 10.0


class HelpFormatter(argparse.HelpFormatter):
    """Wraps paragraphs but no names of options; keeps the lines of lists and examples.

    The lines of lists and examples begin with spaces.
    """

    def _split_lines(self, text, width):
        return textwrap.wrap(' '.join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text, width, indent):
        lines = []
        for line in text.splitlines():
            is_kept = line.startswith(' ') or not line
            lines += [line] if is_kept else self._split_lines(line, width - len(indent))
        return '\n'.join(indent + line for line in lines)


class OldSpelling(argparse.Action):
    """Stores the value of an option under its old name, and prints the new name."""

    def __call__(self, parser, namespace, values, option_string=None):
        new = f'--{self.dest.replace("_", "-")}'
        warn(f'{option_string} is now {new}; the next version drops {option_string}')
        setattr(namespace, self.dest, values)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line.

    An unknown argument is reported before a missing one: it is often the missing
    argument, misspelt.
    """

    _arguments: Sequence[str] = ()

    def parse_known_args(self, args=None, namespace=None):
        self._arguments = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._arguments, namespace)

    def error(self, message):
        message = f'{one_line(message)}; see {self.prog} --help'
        try:
            self.suggest(self._arguments)
        except ValueError as misspelt:
            message = misspelt
        self.exit(2, f'{self.prog}: {message}\n')

    def suggest(self, arguments: Iterable[str]) -> None:
        """Raises ValueError for an unknown argument that resembles an option."""
        known = self._option_string_actions
        for argument in itertools.takewhile(lambda x: x != '--', arguments):
            name = argument.partition('=')[0]
            if re.match(r'--?[A-Za-z]{2}', name) and name not in known:
                near = None if name.startswith('--config.') else nearest(name, known)
                if near:
                    raise ValueError(
                        f'unknown argument {printable(name)}; did you mean {near}?'
                    )


def add_renamed(
    parser: argparse._ActionsContainer, old: str, new: str, **options: Any
) -> None:
    """Declares the option `new`, and its old spelling, which help does not show."""
    dest = parser.add_argument(new, **options).dest
    parser.add_argument(
        old,
        action=OldSpelling,
        dest=dest,
        type=options.get('type'),
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )


def add_engine_and_shard(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say how and which members of a sweep are trained."""
    group = parser.add_argument_group('how the members are trained')
    group.add_argument(
        '--engine',
        choices=ENGINES,
        default='sequential',
        help='way to train the members: sequential trains one after another, devices '
        'one on each device, vmap all at once on one device (default: %(default)s)',
    )
    group.add_argument(
        '--shard',
        default='0/1',
        metavar='I/N',
        help='part of the members to train: part I of N parts, counted from 0 '
        '(default: %(default)s, all members)',
    )


def add_data_dir(parser: argparse._ActionsContainer) -> None:
    """Declares the folder of TFDS data sets."""
    parser.add_argument(
        '--data-dir',
        metavar='DIR',
        help='folder of TFDS data sets (default: the environment variable '
        'TFDS_DATA_DIR, or ~/tensorflow_datasets)',
    )


def add_format(
    parser: argparse._ActionsContainer, *formats: str, of: str = 'output'
) -> None:
    """Declares --format; the first format is the default."""
    parser.add_argument(
        '--format',
        choices=formats,
        default=formats[0],
        help=f'format of the {of} (default: %(default)s)',
    )


def image_progress(total: int, *, shown: bool = True) -> Callable[[int], None]:
    """Returns a function that shows how many of `total` images are done.

    It shows a bar on a terminal, and a line every ten seconds elsewhere. `shown` False
    shows nothing, for commands whose results appear on the same screen.
    """
    if not shown:
        return lambda done: None
    # Imported here, because benchmarks of networks run without tqdm.
    from tqdm import tqdm

    last, bar = time.monotonic(), None

    def show(done: int) -> None:
        nonlocal last, bar
        bar = bar or tqdm(total=total, unit=' images', disable=not sys.stderr.isatty())
        bar.update(done - bar.n)
        if done >= total:
            bar.close()
        elif bar.disable and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            print(f'{done:,} of {counted(total, "image")}', file=sys.stderr, flush=True)

    return show


def print_now(text: object) -> None:
    """Prints printable lines and flushes them, so that they reach a file at once."""
    print(printable_lines(text), flush=True)


def path_option(argument: str) -> Path:
    """Parses the path of a local file or folder, for argparse."""
    try:
        return local_path(argument)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextlib.contextmanager
def mistakes_as_failures() -> Iterator[None]:
    """Raises Stopped for a ValueError: a user's mistake that shows during the work."""
    try:
        yield
    except ValueError as error:
        raise Stopped(str(error)) from error


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Makes SIGTERM raise SystemExit in the block, so that drafts are removed."""

    def end(number, frame):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def unwritable_as_failure(path: Path) -> Iterator[None]:
    """Raises Stopped for an OSError, which means that `path` cannot be written."""
    try:
        yield
    except OSError as error:
        raise Stopped(
            f'{path} cannot be written ({error.strerror or error})'
        ) from error


def run_command(name: str, command: Callable[[], Callable[[], int] | None]) -> int:
    """Runs a command and returns its exit status.

    The command first makes all checks, and returns the work. A ValueError or OSError of
    the checks is the user's mistake, printed as one line, with status 2. In the work,
    Stopped and OSError are printed as one line, with status 1; other errors are bugs.
    """
    # JAX reads these variables when it starts.
    compilation_cache.enable_cache(os.environ)
    try:
        try:
            work = command()
        except BrokenPipeError:
            return close_broken_pipe()
        except ValueError as error:
            print(f'{name}: {one_line(error)}', file=sys.stderr)
            return 2
        except OSError as error:
            reason = f'{os_error_text(error)}; check the path and the disk'
            print(f'{name}: {one_line(reason)}', file=sys.stderr)
            return 2
        return work() if work else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return close_broken_pipe()
    except OSError as error:
        # A full or lost disk, or a file without permission; no bug of the work.
        reason = f'{os_error_text(error)}; check the disk, then try again'
        print(f'{name}: {one_line(reason)}', file=sys.stderr)
        return 1
    except Stopped as error:
        print(f'{name}: {one_line(error)}', file=sys.stderr)
        return 1


def close_broken_pipe() -> int:
    """Discards further output after its reader has ended; returns exit status 0."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a table in Markdown whose columns are aligned.

    >>> print(markdown_table(('images', 'error'), [('all', 3.9), ('without 3', 4)]))
    | images    | error |
    | --------- | ----- |
    | all       | 3.9   |
    | without 3 | 4     |
    """
    head, *body = [[str(cell) for cell in row] for row in (columns, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(head, *body, strict=True)]
    lines = (head, ['-' * width for width in widths], *body)
    return '\n'.join(table_line(line, widths) for line in lines)


def table_line(cells: Iterable[str], widths: Iterable[int]) -> str:
    """Returns a line of a table in Markdown, with cells of at least these widths."""
    return f'| {" | ".join(map(str.ljust, cells, widths))} |'


def refuse_arguments(rest: list[str], hint: str = 'see --help') -> None:
    """Raises ValueError if arguments are left that the command does not know."""
    if rest:
        raise ValueError(f'unknown argument {rest[0]}; {hint}')
