"""describe: print, draw or compare networks."""

import argparse
import json

from inception_jax.commands.shared.cli import (
    add_format,
    path_option,
    print_now,
    refuse_arguments,
)
from inception_jax.networks import (
    NETWORKS,
    choose,
    diff,
    draw,
    measure,
    summary,
    table,
)
from inception_jax.runtime.files import write_text

HELP = 'print, draw or compare networks'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'network',
        help=f'one of {", ".join(NETWORKS)}; or yours, as in my_lab.nets:NET',
    )
    parser.add_argument(
        '--against', metavar='OTHER', help='print the difference to this network'
    )
    parser.add_argument(
        '--input-size',
        type=int,
        metavar='N',
        help="side of the images in pixels (default: the network's)",
    )
    parser.add_argument(
        '--classes',
        type=int,
        metavar='N',
        help="number of classes (default: the network's)",
    )
    add_format(parser, 'table', 'json', 'svg')
    parser.add_argument(
        '--block',
        metavar='NAME',
        help='draw one block or stage, with --format svg (default: all)',
    )
    parser.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='write to a file (default: print)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> None:
    """Prints or draws a network, or prints the difference of two networks."""
    refuse_arguments(rest)
    if options.block and options.format != 'svg':
        raise ValueError('--block goes with --format svg')
    if options.against and options.format != 'table':
        raise ValueError('--against prints text; leave --format out')
    changes = {'input_size': options.input_size, 'classes': options.classes}
    network = choose(options.network, **changes)
    measure(network)  # checks that the parts fit together
    if options.against:
        output = diff(network, choose(options.against, **changes))
    elif options.format == 'svg':
        output = draw(network, options.block)
    elif options.format == 'json':
        output = json.dumps(summary(network), indent=2)
    else:
        output = table(network)
    if options.output:
        write_text(options.output, output.rstrip() + '\n')
    else:
        print_now(output.rstrip())
