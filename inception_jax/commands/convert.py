"""convert: a file of another library or a run to a weight file, and back."""

import argparse
import math

from inception_jax.commands.shared import class_names, trained_options
from inception_jax.commands.shared.cli import (
    path_option,
    print_now,
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'convert weights of another library or of a run to a weight file, and back'
EPILOG = (
    'A weight file is OUTPUT.safetensors with its description in OUTPUT.json. '
    'docs/weights.md lists where to download weights, and the options for each file.'
)
# The names of `weights.layouts.catalogue`, which a help page need not import.
LAYOUTS = ('slim', 'facenet', 'keras', 'timm', 'torchvision', 'facenet_pytorch')


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'input',
        type=path_option,
        metavar='INPUT',
        help='file of another library (--from), folder of a run, or weight file (--to)',
    )
    parser.add_argument(
        'output', type=path_option, metavar='OUTPUT', help='FILE.safetensors'
    )
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        '--from', dest='layout', choices=LAYOUTS, help='layout of INPUT'
    )
    direction.add_argument('--to', choices=LAYOUTS, help='layout of OUTPUT')
    parser.add_argument(
        '--network',
        metavar='NAME',
        help='name of the network of INPUT, required with --from; otherwise fail '
        'unless INPUT has this network, and needed for a network of your own, whose '
        'code then runs (default: any of the catalogue)',
    )
    trained_options.add_step(parser)
    parser.add_argument(
        '--auxiliary',
        action='store_true',
        help='with --from: keep the auxiliary head, to train on',
    )
    parser.add_argument(
        '--classes',
        type=path_option,
        metavar='FILE',
        help='with --from: file with the names of the classes, one a line (default: '
        "ImageNet's for 1,000 classes, otherwise numbers)",
    )
    parser.add_argument(
        '--normalised',
        type=_three_numbers,
        nargs=2,
        metavar=('MEAN', 'STD'),
        help='with --from: the weights expect images (x - MEAN) / STD of x from 0 to '
        '1, by channel, and not those of the layout; e.g. 0.485,0.456,0.406 '
        '0.229,0.224,0.225',
    )
    parser.add_argument(
        '--raw',
        action='store_true',
        help='use the raw weights of a run, or of a file that also has EMA weights '
        '(default: the EMA weights)',
    )
    parser.add_argument(
        '--trunk',
        action='store_true',
        help='with --from: leave out the head, whatever its layers are; the weights '
        'then serve features and fine-tuning (default: convert the head too)',
    )
    parser.add_argument(
        '--licence', metavar='TEXT', help='licence of the weights (default: unknown)'
    )


def run(options: argparse.Namespace, rest: list[str]) -> None:
    """Converts and prints the description of the output."""
    refuse_arguments(rest)
    if options.classes and not options.layout:
        raise ValueError('--classes goes with --from; leave it out')
    names = class_names.load_distinct_class_names('--classes', options.classes)
    from inception_jax.evaluation.convert_and_export import convert

    with unwritable_as_failure(options.output), sigterm_as_exit():
        file = convert(
            options.input,
            options.output,
            layout=options.layout,
            to=options.to,
            network=options.network,
            step=options.step,
            auxiliary=options.auxiliary,
            class_names=names,
            normalised=options.normalised,
            raw=options.raw,
            trunk=options.trunk,
            licence=options.licence,
        )
    print_now(file)


def _three_numbers(argument: str) -> list[float]:
    """Parses three numbers with commas between them, for argparse."""
    try:
        numbers = [float(part) for part in argument.split(',')]
    except ValueError:
        numbers = []
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(
            f'{argument!r} is not three numbers with commas between them'
        )
    return numbers
