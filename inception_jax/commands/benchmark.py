"""benchmark: measure a part of training on the machine at hand."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import benchmark_input, benchmark_networks
from inception_jax.runtime import choices

HELP = 'measure how fast a part of training is on this machine'
EPILOG = (
    'input: images per second from the files to the devices, where the time goes, and '
    'what the distortions cost on the device. forward, train: images per second of a '
    'network on images that are on the device, its start-up and its memory, in turns '
    'with the same network of another library if one is named.'
)
PARTS = ('input', 'forward', 'train')


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--what', metavar='PART[,PART]', required=True, help=f'of {", ".join(PARTS)}'
    )
    parser.add_argument(
        '--config', metavar='FILE[:NETWORK]', help='of the input, as for train'
    )
    parser.add_argument(
        '--seconds', type=float, default=5.0, help='of a figure (default: 5)'
    )
    parser.add_argument('--format', choices=('table', 'json'), default='table')
    benchmark_networks.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Measures the training input of a config, or a network.

    Raises:
      ValueError: there is no such part, config, source, network or peer, the batch does
        not divide over the devices, or there is no time.
    """
    parts = options.what.split(',')
    for name in parts:
        choices.check('--what', name, PARTS)
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
    if given := benchmark_networks.options_given(options):
        raise ValueError(
            f'{given[0]} goes with --what forward or train; the input is that of the '
            '--config'
        )
    return benchmark_input.run(options, rest)
