"""replay: compute steps of a run again, with diagnostics at every step."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import print_now, refuse_arguments

HELP = 'compute steps of a run again, with diagnostics at every step'


def arguments(parser: argparse.ArgumentParser) -> None:
    run_options.arguments(parser)
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

    compute_where_called()
    prepared = run_options.open_named_run(options)
    check_replay(prepared, options.first, options.last)

    def work() -> int:
        result = replay(prepared, options.first, options.last)
        print_now(result)
        return 0 if result.same else 1

    return work
