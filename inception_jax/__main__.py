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
    predict_stability,
    probe,
    replay,
    report,
    sweep,
    train,
)
from inception_jax.commands.shared.cli import HelpFormatter, Parser, run_command
from inception_jax.runtime import allocator
from inception_jax.runtime.messages import print_all_names
from inception_jax.runtime.version import VERSION

# The commands by purpose.
PURPOSES = {
    'networks': {'describe': describe, 'benchmark': benchmark},
    'training': {'data-check': data_check, 'train': train},
    'stability lab': {
        'sweep': sweep,
        'fork': fork,
        'replay': replay,
        'probe': probe,
        'predict-stability': predict_stability,
        'report': report,
    },
    'trained networks': {
        'evaluate': evaluate,
        'ensemble': ensemble,
        'predict': predict,
        'convert': convert,
        'export': export,
    },
}
COMMANDS = {
    name: command
    for commands in PURPOSES.values()
    for name, command in commands.items()
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
        prog='inception-jax',
        description=inception_jax.__doc__.splitlines()[0],
        epilog=_command_list(),
        formatter_class=HelpFormatter,
    )
    parser.add_argument(
        '--version', action='version', version=VERSION, help='print the version'
    )
    commands = parser.add_subparsers(
        required=True,
        metavar='COMMAND',
        help='command to run; inception-jax COMMAND --help describes its options',
    )
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(
            name,
            allow_abbrev=False,
            description=_description(command),
            epilog=_examples(name, command),
            formatter_class=HelpFormatter,
        )
        subparser.set_defaults(command=name, parser=subparser)
        command.arguments(subparser)
    return parser


def _command_list() -> str:
    """Returns the commands by purpose, one a line."""
    width = max(map(len, COMMANDS))
    lines = []
    for purpose, commands in PURPOSES.items():
        lines += ['', f'{purpose}:']
        lines += [f'  {name:<{width}}  {c.HELP}' for name, c in commands.items()]
    return '\n'.join(lines[1:])


def _description(command) -> str:
    """Returns what a command does as a sentence, and its details."""
    sentence = f'{command.HELP[0].upper()}{command.HELP[1:]}.'
    return f'{sentence} {getattr(command, "DETAILS", "")}'.rstrip()


def _examples(name: str, command) -> str:
    start = f'  python -m inception_jax {name}'
    return '\n'.join(['examples:', *(f'{start} {x}' for x in command.EXAMPLES)])


if __name__ == '__main__':
    sys.exit(start())
