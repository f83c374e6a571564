"""ensemble: the errors of several networks together, from saved probabilities."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import error_tables
from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments

HELP = 'compute the errors of several networks together'
DETAILS = (
    'The command averages the probabilities that evaluate has saved for each image. It '
    'needs no network. For a single file it prints what evaluate prints.'
)
EXAMPLES = (
    'runs/v4/probabilities-144.npz runs/v2/probabilities-144.npz',
    'runs/v4/probabilities-1.npz --worst-classes 10 --confusions 10',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the files')
    group.add_argument(
        'files',
        nargs='+',
        type=path_option,
        metavar='FILE',
        help='files of probabilities of the same images, from evaluate',
    )
    group.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='file for the averaged probabilities (default: write no file)',
    )
    error_tables.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Averages files of the same images and prints the errors."""
    refuse_arguments(rest)
    excluded = error_tables.read_excluded(options)
    _check_files(options.files, options.output)
    from inception_jax.evaluation.probabilities import (
        ensemble,
        load_probabilities,
        save_probabilities,
    )
    from inception_jax.runtime.files import refuse_unwritable
    from inception_jax.runtime.messages import printable

    if len(options.files) > 1:
        probabilities = ensemble(options.files)
    else:
        probabilities = load_probabilities(options.files[0])
    table = error_tables.error_table(probabilities, options, excluded)
    if options.output:
        with refuse_unwritable(options.output.parent):
            save_probabilities(options.output, probabilities)
    print_now(table)
    if options.output:
        print(printable(options.output), file=sys.stderr)
    return lambda: 0


def _check_files(files: list[Path], output: Path | None) -> None:
    """Raises ValueError if a file comes twice or would be overwritten."""
    paths = [path.resolve() for path in files]
    if duplicates := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(
            f'{duplicates[0]} is named twice; an ensemble has different files'
        )
    if output and output.resolve() in paths:
        raise ValueError(f'--output {output} is one of the files; name another one')
