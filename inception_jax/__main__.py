"""The command line: finds the command and runs it."""

import os
import sys

import inception_jax
from inception_jax.commands import (
    benchmark,
    convert,
    data_check,
    describe,
    ensemble,
    evaluate,
    export,
    fork,
    predict,
    probe,
    replay,
    report,
    sweep,
    train,
)
from inception_jax.commands.shared.cli import Parser, run_command
from inception_jax.runtime import allocator
from inception_jax.runtime.messages import print_all_names
from inception_jax.runtime.version import VERSION

COMMANDS = {
    'describe': describe,
    'train': train,
    'evaluate': evaluate,
    'ensemble': ensemble,
    'predict': predict,
    'convert': convert,
    'export': export,
    'sweep': sweep,
    'data-check': data_check,
    'fork': fork,
    'replay': replay,
    'probe': probe,
    'report': report,
    'benchmark': benchmark,
}


def start() -> int:
    """Runs the command line, after a restart of the process if that loads jemalloc."""
    allocator.restart_with_jemalloc()
    print_all_names()
    return main()


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status."""
    options, rest = _parser().parse_known_args(arguments)
    sys.path.append(os.getcwd())
    command = COMMANDS[options.command]

    def run():
        options.parser.suggest(rest)
        return command.run(options, rest)

    return run_command(f'inception-jax {options.command}', run)


def _parser() -> Parser:
    parser = Parser(
        prog='inception-jax', description=inception_jax.__doc__.splitlines()[0]
    )
    parser.add_argument('--version', action='version', version=VERSION)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            allow_abbrev=False,
            help=command.HELP,
            epilog=getattr(command, 'EPILOG', None),
        )
        subparser.set_defaults(command=name, parser=subparser)
        command.arguments(subparser)
    return parser


if __name__ == '__main__':
    sys.exit(start())
