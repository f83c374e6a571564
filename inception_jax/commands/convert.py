"""convert: a file of another library or a run to a weight file, and back."""

import argparse
import math

from inception_jax.commands.shared import class_names, trained_options
from inception_jax.commands.shared.cli import (
    add_renamed,
    path_option,
    print_now,
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'convert weights from or to another library, or from a run'
DETAILS = (
    'A weight file is OUTPUT.safetensors, and OUTPUT.json describes it. '
    'docs/weights.md lists where to download weights, and the options for each file.'
)
EXAMPLES = (
    'inception_v4.safetensors v4.safetensors --from timm --network inception_v4_slim',
    'runs/quickstart digits.safetensors',
    'v4.safetensors v4_timm.safetensors --to timm',
)
# The names of `weights.layouts.catalogue`, which a help page need not import.
LAYOUTS = ('slim', 'facenet', 'keras', 'timm', 'torchvision', 'facenet_pytorch')


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the files')
    group.add_argument(
        'input',
        type=path_option,
        metavar='INPUT',
        help='file of another library (with --from), folder of a run, or weight file',
    )
    group.add_argument(
        'output',
        type=path_option,
        metavar='OUTPUT',
        help='weight file to write, FILE.safetensors, or file of another library (with '
        '--to)',
    )
    direction = group.add_mutually_exclusive_group()
    direction.add_argument(
        '--from',
        dest='layout',
        choices=LAYOUTS,
        help='library whose layout INPUT has (default: a run or a weight file)',
    )
    direction.add_argument(
        '--to',
        choices=LAYOUTS,
        help='library whose layout OUTPUT gets (default: a weight file)',
    )
    group.add_argument(
        '--licence',
        metavar='TEXT',
        help='licence of the weights, for the description (default: unknown)',
    )
    group = parser.add_argument_group('the weights')
    group.add_argument(
        '--network',
        metavar='NAME',
        help='network of INPUT. --from needs it; otherwise fail unless the weights '
        'belong to this network. A network of your own needs the option, because its '
        'code runs (default: the network that INPUT names)',
    )
    trained_options.add_step(group)
    group.add_argument(
        '--raw',
        action='store_true',
        help='use the raw weights of a run, or of a file that also has EMA weights '
        '(default: the EMA weights)',
    )
    group = parser.add_argument_group('the weights of another library, with --from')
    group.add_argument(
        '--auxiliary',
        action='store_true',
        help='keep the auxiliary head, to train on (default: leave it out)',
    )
    group.add_argument(
        '--trunk',
        action='store_true',
        help='leave out the head, whatever its layers are; the weights then serve '
        'features and fine-tuning (default: convert the head too)',
    )
    add_renamed(
        group,
        '--classes',
        '--class-names',
        type=path_option,
        metavar='FILE',
        help='text file with the names of the classes, one a line in the order of the '
        "labels (default: ImageNet's for 1,000 classes, otherwise numbers)",
    )
    group.add_argument(
        '--normalised',
        type=_three_numbers,
        nargs=2,
        metavar=('MEAN', 'STD'),
        help='normalisation of the images that the weights expect, (x - MEAN) / STD of '
        'x from 0 to 1, by channel, e.g. 0.485,0.456,0.406 0.229,0.224,0.225 (default: '
        'that of the library)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> None:
    """Converts and prints the description of the output."""
    refuse_arguments(rest)
    if options.class_names and not options.layout:
        raise ValueError('--class-names goes with --from; leave it out')
    names = class_names.load_distinct_class_names('--class-names', options.class_names)
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
