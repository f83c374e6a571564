"""describe: print, draw or compare networks."""

import argparse
import dataclasses
import json

from inception_jax.commands.shared.cli import (
    add_format,
    path_option,
    print_now,
    refuse_arguments,
)
from inception_jax.networks import (
    NETWORKS,
    Network,
    choose,
    diff,
    draw,
    measure,
    summary,
    table,
)
from inception_jax.networks.describe.table import training_lines
from inception_jax.runtime.files import write_text
from inception_jax.runtime.messages import warn

HELP = 'print, draw or compare networks'
DETAILS = (
    'The table has the shape, parameters and multiply-adds of each block. With '
    '--config it is the table of the network that train would train.'
)
EXAMPLES = (
    'inception_v4',
    'inception_resnet_v2 --against inception_resnet_v2_slim',
    'inception_v4 --format svg --block c --output inception_c.svg',
    '--config configs/quickstart.py --config.network.width=0.5',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the network')
    group.add_argument(
        'network',
        nargs='?',
        metavar='NETWORK',
        help=f'network to describe: {", ".join(NETWORKS)}; or your own, as '
        'package.module:NAME (default: the network of --config)',
    )
    group.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config whose network to describe, with the input size, the classes and '
        'the fields --config.SECTION.FIELD=VALUE, as for train (default: none)',
    )
    group.add_argument(
        '--input-size',
        type=int,
        metavar='N',
        help='height and width of the images in pixels (default: the input size of '
        'the network)',
    )
    group.add_argument(
        '--classes',
        type=int,
        metavar='N',
        help='number of classes (default: those of the network)',
    )
    group = parser.add_argument_group('the output')
    group.add_argument(
        '--against',
        metavar='OTHER',
        help='network to compare with; the command prints the differences (default: '
        'none)',
    )
    add_format(group, 'table', 'json', 'svg')
    group.add_argument(
        '--block',
        metavar='NAME',
        help='block or stage to draw, with --format svg (default: all)',
    )
    group.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='file to write (default: print)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> None:
    """Prints or draws a network, or prints the difference of two networks."""
    if options.output and options.output.suffix == '.svg' and options.format != 'svg':
        raise ValueError(f'{options.output} is a figure; add --format svg')
    if options.block and options.format != 'svg':
        raise ValueError('--block goes with --format svg')
    if options.against and options.format != 'table':
        raise ValueError('--against prints text; leave --format out')
    network = _network(options, rest)
    measure(network)  # checks that the parts fit together
    if options.against:
        changes = {'input_size': network.input_size, 'classes': network.classes}
        changes = changes if options.config else _changes(options)
        output = diff(network, choose(options.against, **changes))
    elif options.format == 'svg':
        output = draw(network, options.block)
    elif options.format == 'json':
        output = json.dumps(summary(network), indent=2)
    elif options.config:
        output = f'{table(network)}\n\n{training_lines(network)}'
    else:
        output = table(network)
    if options.output:
        write_text(options.output, output.rstrip() + '\n')
    else:
        print_now(output.rstrip())


def _changes(options: argparse.Namespace) -> dict[str, int | None]:
    return {'input_size': options.input_size, 'classes': options.classes}


def _network(options: argparse.Namespace, rest: list[str]) -> Network:
    """Returns the network of the options.

    Raises:
      ValueError: the options name no network or two, or a field is wrong.
    """
    if (options.network is None) == (options.config is None):
        raise ValueError('name one network, or one with --config FILE; see --help')
    if options.network:
        refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
        return choose(options.network, **_changes(options))
    for name, value in _changes(options).items():
        if value is not None:
            raise ValueError(
                f'--{name.replace("_", "-")} goes with a network name; use '
                f'--config.network.{name}={value}'
            )
    return _trained_network(options.config, rest)


def _trained_network(path: str, rest: list[str]) -> Network:
    """Returns the network that a config trains, with the classes of its data."""
    from inception_jax.config.experiment import experiment
    from inception_jax.config.files import load_config
    from inception_jax.config.overrides import parse_overrides
    from inception_jax.data.sources.open import open_source

    checked = experiment(load_config(path, **parse_overrides(rest)))
    network, data = checked.network, checked.data
    if checked.classes is None:
        try:
            source = open_source(data.source, data.train_split, data_dir=data.data_dir)
            return dataclasses.replace(network, classes=source.classes)
        except ValueError as error:
            warn(
                f'the number of classes is that of the network, because the data set '
                f'cannot be opened: {error}'
            )
    return network
