"""replay: compute steps of a run again, with diagnostics at every step."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'compute steps of a run again, with diagnostics at every step'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workdir', required=True, type=Path, metavar='DIR', help='folder of the run'
    )
    parser.add_argument(
        '--from',
        required=True,
        type=int,
        metavar='N',
        dest='first',
        help='step after which the replay begins',
    )
    parser.add_argument(
        '--to',
        required=True,
        type=int,
        metavar='M',
        dest='last',
        help='last step of the replay',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Computes the steps of a run again and compares them with its records."""
    refuse_arguments(rest)
    from inception_jax.lab.replay import check_replay, replay
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.training.states import open_run

    compute_where_called()
    prepared = open_run(options.workdir)
    check_replay(prepared, options.first, options.last)

    def work() -> int:
        result = replay(prepared, options.first, options.last)
        print(result)
        return 0 if result.same else 1

    return work
