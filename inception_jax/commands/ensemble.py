"""ensemble: the errors of several networks together, from files of probabilities."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import error_tables
from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'the errors of several networks together, from files of probabilities'
EPILOG = 'The softmax is averaged. One file alone is told as evaluate does.'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'files', nargs='+', type=Path, metavar='FILE', help='what evaluate wrote'
    )
    parser.add_argument(
        '--output', type=Path, metavar='FILE', help='where the mean goes, if anywhere'
    )
    error_tables.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Averages files of the same images and prints the errors."""
    refuse_arguments(rest)
    out = error_tables.read_excluded(options)
    from inception_jax.evaluation import probabilities
    from inception_jax.runtime.files import refuse_unwritable

    paths = [path.resolve() for path in options.files]
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(
            f'{twice[0]} is named twice; an ensemble is of different files'
        )
    if options.output and options.output.resolve() in paths:
        raise ValueError(
            f'--output {options.output} is one of the files; name another one'
        )
    files = [probabilities.load_probabilities(path) for path in options.files]
    found = probabilities.ensemble(files) if len(files) > 1 else files[0]
    names = files[0].about['classes']
    text = error_tables.errors_text(found, names, options, out)
    if options.output:
        with refuse_unwritable(options.output.parent):
            probabilities.save_probabilities(options.output, found)
    print(text)
    if options.output:
        print(options.output, file=sys.stderr)
    return lambda: 0
