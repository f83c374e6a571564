"""The command line: finds the command, and tells a mistake from a fault."""

import argparse
import os
import signal
import sys

import inception_jax
from inception_jax.commands import describe, fork, probe, replay, report, sweep, train
from inception_jax.version import VERSION

COMMANDS = {
    'describe': describe,
    'train': train,
    'sweep': sweep,
    'fork': fork,
    'replay': replay,
    'probe': probe,
    'report': report,
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message):
        self.exit(2, f'{self.prog}: {message}; see {self.prog} --help\n')


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    A command first does all that a user's mistake can stop, and says so by ValueError;
    what it returns is the work itself, in which an error is ours.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    sys.path.append(os.getcwd())
    try:
        work = COMMANDS[options.name].run(options, rest)
    except BrokenPipeError:
        # The reader of a table has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        line = ' '.join(str(error).split())
        print(f'inception-jax {options.name}: {line}', file=sys.stderr)
        return 2
    try:
        return work() if work else 0
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='inception-jax', description=inception_jax.__doc__)
    parser.add_argument('--version', action='version', version=VERSION)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        one = commands.add_parser(
            name,
            allow_abbrev=False,
            help=command.HELP,
            epilog=getattr(command, 'EPILOG', None),
        )
        one.set_defaults(name=name)
        command.arguments(one)
    return parser


if __name__ == '__main__':
    sys.exit(main())
