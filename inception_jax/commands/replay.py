"""replay: recompute steps of a run with diagnostics at every step."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import print_now, refuse_arguments

HELP = 'recompute steps of a run with diagnostics at every step'
DETAILS = (
    'The command compares the steps with the records of the run, and writes '
    'replay-FROM-TO.jsonl into the run. The exit status is 1 if a record differs.'
)
EXAMPLES = ('--workdir runs/unscaled --from 0 --to 45',)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the run')
    run_options.arguments(group)
    group = parser.add_argument_group('the steps')
    group.add_argument(
        '--from',
        required=True,
        type=int,
        metavar='N',
        dest='first',
        help='step after which the replay begins (required)',
    )
    group.add_argument(
        '--to',
        required=True,
        type=int,
        metavar='M',
        dest='last',
        help='last step of the replay (required)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Recomputes the steps of a run and compares them with its records."""
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
