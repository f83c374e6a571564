"""export: a trained network as one file that jax runs without this package."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import trained_options
from inception_jax.commands.shared.cli import (
    path_option,
    print_now,
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'export a trained network to a file that JAX alone can run'
DETAILS = (
    'The file holds the weights and a StableHLO program for batches of any size. '
    'docs/weights.md has the five lines that run it. JAX reads the program for about '
    'six months; --renew exports the network again.'
)
EXAMPLES = (
    '--workdir runs/quickstart digits.npz',
    '--weights v4.safetensors v4.npz --fold --platforms cpu',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    group = parser.add_argument_group('the exported file')
    group.add_argument(
        'output', type=path_option, metavar='OUTPUT', help='file to write, FILE.npz'
    )
    group.add_argument(
        '--renew',
        action='store_true',
        help='replace OUTPUT, an export of the same network, while JAX can still read '
        'it (default: fail if OUTPUT exists)',
    )
    group = parser.add_argument_group('the program')
    group.add_argument(
        '--fold',
        action='store_true',
        help='fold batch norm and residual scales into the convolutions (default: keep '
        'them as operations)',
    )
    group.add_argument(
        '--scale-input',
        action='store_true',
        help='make the residual scales an input of the program (default: constants)',
    )
    group.add_argument(
        '--pixels',
        choices=('uint8', 'float32'),
        default='uint8',
        help='type of the images: uint8 from 0 to 255, or float32 in the pixel range '
        'of the network (default: %(default)s)',
    )
    group.add_argument(
        '--platforms',
        default='cpu,cuda,tpu',
        metavar='LIST',
        help='platforms that can run the program, of cpu, cuda, rocm and tpu, '
        'separated by commas (default: %(default)s)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Reads the network and returns the work: to export it and print."""
    refuse_arguments(rest)
    from inception_jax.evaluation.convert_and_export import check_export_path, export
    from inception_jax.weights.export import check_export_options

    trained, _ = trained_options.open_trained(options)
    choices = {
        'folded': options.fold,
        'scale_input': options.scale_input,
        'pixels': options.pixels,
        'platforms': options.platforms.split(','),
    }
    check_export_options(trained.network, **choices)
    renewed = (trained, choices) if options.renew else None
    check_export_path(options.output, renewed=renewed)

    def work() -> int:
        trained_options.print_weights(options, trained)
        with unwritable_as_failure(options.output), sigterm_as_exit():
            exported = export(trained, options.output, renew=options.renew, **choices)
        print_now(exported)
        return 0

    return work
