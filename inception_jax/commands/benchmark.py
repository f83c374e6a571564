"""benchmark: measure the speed of the training input or of a network."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import benchmark_input, benchmark_networks
from inception_jax.commands.shared.cli import add_format
from inception_jax.runtime import choices

HELP = 'measure the speed of a network or of the training input'
DETAILS = (
    'input measures images per second from the files to the devices, the time of each '
    'stage, and the time of augmentation on the device. forward and train measure '
    'images per second of a network whose images are already on the device, its '
    'start-up and its memory.'
)
EXAMPLES = (
    '--what input --config configs/quickstart.py',
    '--what train,forward --network inception_v4 --against timm',
)
PARTS = ('input', 'forward', 'train')


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--what',
        metavar='PART[,PART]',
        required=True,
        help=f'parts to measure: {", ".join(PARTS)} (required)',
    )
    parser.add_argument(
        '--seconds',
        type=float,
        default=5.0,
        metavar='S',
        help='seconds of each measurement (default: %(default)g)',
    )
    add_format(parser, 'table', 'json')
    group = parser.add_argument_group('the training input, with --what input')
    group.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config of the input, as for train, with fields as --config.SECTION.FIELD='
        'VALUE (default: none; input needs one)',
    )
    benchmark_networks.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Checks the options and returns the work: to measure and print.

    Raises:
      ValueError: an option is wrong, the config, source, network or peer does not
        exist, or the batch does not divide over the devices.
    """
    parts = options.what.split(',')
    for part in parts:
        choices.check('--what', part, PARTS)
    if not 0 < options.seconds <= 3600:
        raise ValueError(
            f'--seconds is {options.seconds:g}; expected more than 0, up to 3600'
        )
    if 'input' not in parts:
        return benchmark_networks.run(options, rest, list(dict.fromkeys(parts)))
    if len(parts) > 1:
        raise ValueError(
            f'--what {options.what}: input is measured alone; leave it out, or the rest'
        )
    if names := benchmark_networks.changed_options(options):
        raise ValueError(
            f'{names[0]} goes with --what forward or train; the input is that of the '
            '--config'
        )
    return benchmark_input.run(options, rest)
