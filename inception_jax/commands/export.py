"""export: a trained network as one file that jax runs without this package."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import trained_options
from inception_jax.commands.shared.cli import (
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'a network with its weights as one file that jax runs without this package'
EPILOG = (
    'The file holds a program in StableHLO, for batches of any size, and the weights. '
    'docs/weights.md has the five lines that run it.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    parser.add_argument('output', type=Path, metavar='OUTPUT', help='FILE.npz')
    parser.add_argument(
        '--fold',
        action='store_true',
        help='fold batch norm and residual scales into the convolutions',
    )
    parser.add_argument(
        '--scale-input',
        action='store_true',
        help='let the residual scales be an input of the program',
    )
    parser.add_argument(
        '--pixels',
        choices=('uint8', 'float32'),
        default='uint8',
        help='images from 0 to 255, or float32 scaled by the caller (%(default)s)',
    )
    parser.add_argument(
        '--platforms',
        default='cpu,cuda,tpu',
        metavar='LIST',
        help='those that can run it: of cpu, cuda, rocm and tpu (%(default)s)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Reads the network, and returns what makes and writes the program."""
    refuse_arguments(rest)
    if options.output.suffix != '.npz':
        raise ValueError(f'{options.output} is no file of a program; expected FILE.npz')
    if options.output.exists():
        raise ValueError(f'{options.output} is there already; name another OUTPUT')
    one, _ = trained_options.open_trained(options)
    from inception_jax.weights import export

    chosen = {
        'folded': options.fold,
        'scale_input': options.scale_input,
        'pixels': options.pixels,
        'platforms': options.platforms.split(','),
    }
    export.check_export_options(one.network, **chosen)

    def work() -> int:
        found = export.export_trained(one, **chosen)
        with unwritable_as_failure(options.output), sigterm_as_exit():
            export.save_export(options.output, found)
        print(export.export_text(found))
        return 0

    return work
