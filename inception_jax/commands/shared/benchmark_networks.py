"""benchmark --what forward,train: how fast a network is, alone or beside a peer's."""

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence

from inception_jax.commands.shared.benchmark_tables import benchmark_text
from inception_jax.commands.shared.cli import refuse_arguments, sigterm_as_exit
from inception_jax.model import execution
from inception_jax.networks.catalogue import choose, load
from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.runtime.signals import Stopped
from inception_jax.speed import figures, relatives, sides


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('a network (forward, train)')
    group.add_argument('--network', metavar='NAME', help='as for describe')
    group.add_argument('--width', type=float, default=1.0, help='of all stages')
    group.add_argument('--depth', type=float, default=1.0, help='of all stages')
    group.add_argument(
        '--input-size', type=int, metavar='N', help="of images; the network's"
    )
    group.add_argument(
        '--batch-size', type=int, default=8, metavar='N', help='(default: 8)'
    )
    group.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
    group.add_argument(
        '--execution',
        metavar='HOW',
        default='fast',
        help='fast, plain, or fast less some levers: fast-siblings (default: fast)',
    )
    group.add_argument(
        '--rounds', type=int, default=5, metavar='N', help='turns of each (default: 5)'
    )
    group.add_argument(
        '--against',
        choices=tuple(relatives.BY_NAME),
        help='whom to take turns with',
    )
    group.add_argument(
        '--peer-python',
        metavar='FILE',
        help='the Python that has the peer, if not this one',
    )
    group.add_argument(
        '--peer-compile',
        action='store_true',
        help='try torch.compile too, which takes minutes',
    )


def options_given(options: argparse.Namespace) -> list[str]:
    """Lists the options above that have another value than without them."""
    parser = argparse.ArgumentParser()
    arguments(parser)
    without = vars(parser.parse_args([]))
    return [
        f'--{name.replace("_", "-")}'
        for name, value in without.items()
        if getattr(options, name) != value
    ]


def run(
    options: argparse.Namespace, rest: list[str], parts: Sequence[str]
) -> Callable[[], int]:
    """Measures a network.

    Raises:
      ValueError: an option is wrong, the peer cannot be measured, or the batch does not
        divide over the devices.
    """
    refuse_arguments(rest)
    asked = _asked(options)
    with _told():
        device = sides.check_comparison(asked)

    def work() -> int:
        told = _about(asked, options) | {'device': device, 'parts': {}}
        with sigterm_as_exit():
            for part in parts:
                found = sides.measure_sides(part, asked, device['platform'], _tell)
                told['parts'][part] = figures.part_figures(
                    part, asked, found, _twin(asked)
                )
        print(json.dumps(told) if options.format == 'json' else benchmark_text(told))
        return 0

    return work


def _asked(options: argparse.Namespace) -> sides.Comparison:
    """Looks at the options, as far as it goes without devices."""
    if options.network is None:
        raise ValueError('--what forward and train need --network; see describe')
    if options.config is not None:
        raise ValueError('--config goes with --what input; here give --network NAME')
    for option in ('batch_size', 'rounds'):
        if getattr(options, option) < 1:
            name = option.replace('_', '-')
            raise ValueError(
                f'--{name} is {getattr(options, option)}; expected 1 or more'
            )
    chosen = {
        'name': options.network,
        'width': options.width,
        'depth': options.depth,
        'input_size': options.input_size,
    }
    execution.check_execution(options.execution)
    network, against = choose(**chosen), _against(options)
    if against:
        network = relatives.comparable(network, against.relative)
        chosen['auxiliary'] = None if network.auxiliary else False
    measure(network)
    return sides.Comparison(
        chosen,
        network,
        options.batch_size,
        {'dtype': options.dtype, 'execution': options.execution},
        options.rounds,
        options.seconds,
        against,
    )


def _against(options: argparse.Namespace) -> sides.Against | None:
    if options.against is None:
        for option in ('peer_python', 'peer_compile'):
            if getattr(options, option):
                name = option.replace('_', '-')
                raise ValueError(
                    f'--{name} goes with --against {" or ".join(relatives.BY_NAME)}'
                )
        return None
    if (options.width, options.depth) != (1.0, 1.0):
        raise ValueError(
            f'{options.against} has networks of full size only; leave out --width and '
            '--depth, or --against'
        )
    peer = relatives.BY_NAME[options.against]
    if options.peer_compile and not peer.slow:
        raise ValueError(
            f'{options.against} is compiled as it is; leave out --peer-compile'
        )
    return sides.Against(
        options.against,
        peer,
        relatives.relative(options.against, options.network),
        options.peer_python or sys.executable,
        options.peer_compile,
    )


@contextlib.contextmanager
def _told():
    """Makes a user's mistake of what a look at the devices or the peer stops."""
    try:
        yield
    except Stopped as error:
        raise ValueError(str(error)) from error


def _twin(asked: sides.Comparison) -> Network | None:
    """Returns the network of ours that computes what the peer's does."""
    if asked.against is None:
        return None
    twin = load(asked.against.relative.twin)
    return dataclasses.replace(
        twin,
        input_size=asked.network.input_size,
        auxiliary=twin.auxiliary if asked.network.auxiliary else None,
    )


def _about(asked: sides.Comparison, options: argparse.Namespace) -> dict:
    """Returns what was measured, and under which conditions."""
    network, twin = asked.network, _twin(asked)
    told = {
        'network': options.network,
        'width': options.width,
        'depth': options.depth,
        'auxiliary': network.auxiliary is not None,
        'input_size': network.input_size,
        'classes': network.classes,
        'batch_size': asked.batch_size,
        **asked.recipe,
        'macs': figures.forward_macs(network, 'forward'),
        'cores': _cores(),
    }
    if twin is None:
        return told
    macs = figures.forward_macs(twin, 'forward')
    return told | {
        'against': asked.against.name,
        'peer_network': asked.against.relative.name,
        'peer_macs': macs,
        'same_network': macs == told['macs'],
    }


def _cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
