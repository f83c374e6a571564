"""benchmark --what forward,train: the speed of a network, alone or beside a peer."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from inception_jax.commands.shared.benchmark_tables import benchmark_text
from inception_jax.commands.shared.cli import refuse_arguments, sigterm_as_exit
from inception_jax.model.execution import check_execution
from inception_jax.networks.catalogue import choose
from inception_jax.networks.shapes import measure
from inception_jax.runtime.signals import Stopped
from inception_jax.speed.comparison import (
    Against,
    Comparison,
    find_devices,
    measure_parts,
)
from inception_jax.speed.peers import PEERS, comparable, relative
from inception_jax.speed.rates import comparison_report


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the network, with --what forward or train')
    group.add_argument(
        '--network',
        metavar='NAME',
        help='network to measure, a name that describe knows or package.module:NAME '
        '(default: none; forward and train need one)',
    )
    group.add_argument(
        '--width',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='factor on the filters of all stages (default: %(default)g)',
    )
    group.add_argument(
        '--depth',
        type=float,
        default=1.0,
        metavar='FACTOR',
        help='factor on the number of blocks of all stages (default: %(default)g)',
    )
    group.add_argument(
        '--input-size',
        type=int,
        metavar='N',
        help='height and width of the images in pixels (default: the input size of '
        'the network)',
    )
    group.add_argument(
        '--batch-size',
        type=int,
        default=8,
        metavar='N',
        help='number of images in a batch (default: %(default)s)',
    )
    group.add_argument(
        '--dtype',
        choices=('float32', 'bfloat16'),
        default='float32',
        help='type of the convolutions (default: %(default)s)',
    )
    group.add_argument(
        '--execution',
        metavar='HOW',
        default='fast',
        help='way to compute the network: fast, plain, or fast without some levers, '
        'e.g. fast-siblings (default: %(default)s)',
    )
    group.add_argument(
        '--rounds',
        type=int,
        default=5,
        metavar='N',
        help='number of rounds; a round measures each library once (default: '
        '%(default)s)',
    )
    group = parser.add_argument_group('comparison with another library')
    group.add_argument(
        '--against',
        choices=tuple(PEERS),
        help='library to compare with, in alternating rounds (default: none)',
    )
    group.add_argument(
        '--peer-python',
        metavar='FILE',
        help='Python that has the library of --against (default: this Python)',
    )
    group.add_argument(
        '--peer-compile',
        action='store_true',
        help='measure torch.compile too, which compiles for minutes (default: only the '
        'eager library)',
    )


def changed_options(options: argparse.Namespace) -> list[str]:
    """Lists the options declared above whose value is not the default."""
    parser = argparse.ArgumentParser()
    arguments(parser)
    defaults = vars(parser.parse_args([]))
    return [
        _flag(name)
        for name, value in defaults.items()
        if getattr(options, name) != value
    ]


def _flag(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def run(
    options: argparse.Namespace, rest: list[str], parts: Sequence[str]
) -> Callable[[], int]:
    """Checks the options and returns the work: to measure `parts` and print.

    Raises:
      ValueError: an option is wrong, the peer cannot run, or the batch does not divide
        over the devices.
    """
    refuse_arguments(rest)
    comparison = _comparison(options)
    try:
        device = find_devices(comparison)
    except Stopped as error:
        raise ValueError(str(error)) from error

    def work() -> int:
        with sigterm_as_exit():
            times = measure_parts(parts, comparison, device['platform'], _progress)
        report = comparison_report(comparison, device, times)
        is_json = options.format == 'json'
        print(json.dumps(report) if is_json else benchmark_text(report))
        return 0

    return work


def _comparison(options: argparse.Namespace) -> Comparison:
    """Checks the options that can be checked without devices."""
    if options.network is None:
        raise ValueError('--what forward and train need --network; see describe')
    if options.config is not None:
        raise ValueError('--config goes with --what input; here give --network NAME')
    for name in ('batch_size', 'rounds'):
        if (number := getattr(options, name)) < 1:
            raise ValueError(f'{_flag(name)} is {number}; expected 1 or more')
    chosen = {
        'name': options.network,
        'width': options.width,
        'depth': options.depth,
        'input_size': options.input_size,
    }
    check_execution(options.execution)
    network, against = choose(**chosen), _against(options)
    if against:
        network = comparable(network, against.relative)
        chosen['auxiliary'] = None if network.auxiliary else False
    measure(network)
    return Comparison(
        chosen,
        network,
        options.batch_size,
        {'dtype': options.dtype, 'execution': options.execution},
        options.rounds,
        options.seconds,
        against,
    )


def _against(options: argparse.Namespace) -> Against | None:
    name = options.against
    if name is None:
        for option in ('peer_python', 'peer_compile'):
            if getattr(options, option):
                raise ValueError(
                    f'{_flag(option)} goes with --against {" or ".join(PEERS)}'
                )
        return None
    if (options.width, options.depth) != (1.0, 1.0):
        raise ValueError(
            f'{name} has only networks of full size; leave out --width and --depth, or '
            '--against'
        )
    if options.peer_compile and not PEERS[name].slow:
        raise ValueError(f'{name} is compiled anyway; leave out --peer-compile')
    return Against(
        name,
        PEERS[name],
        relative(name, options.network),
        options.peer_python or sys.executable,
        options.peer_compile,
    )


def _progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
