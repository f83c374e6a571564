"""fork: continue from a step of a run with other numbers."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments

HELP = 'continue from a step of a run with other numbers'
EPILOG = (
    'The numbers are those of the hparams of the config, and run.epochs: '
    '--hparam residual_scale=0.1. The same command resumes a fork that was stopped.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    run_options.arguments(parser)
    parser.add_argument(
        '--step',
        required=True,
        type=int,
        metavar='N',
        help='number of steps after which the fork begins',
    )
    parser.add_argument(
        '--into',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the fork',
    )
    parser.add_argument(
        '--hparam',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='number that changes; may be repeated',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Makes a run that continues from a step of another run, and trains it."""
    refuse_arguments(rest)
    changes = _changes(options.hparam)
    from inception_jax.lab.fork import start_fork
    from inception_jax.runtime.memory import compute_where_called

    compute_where_called()
    parent = run_options.open_named_run(options)
    work = start_fork(parent, options.step, options.into, changes, say=print_now)
    return lambda: work().exit_status


def _changes(assignments: list[str]) -> dict[str, object]:
    """Returns the values of `NAME=VALUE` options by name."""
    from inception_jax.config.overrides import literal

    changes = {}
    for assignment in assignments:
        name, equals, value = assignment.partition('=')
        if not equals:
            raise ValueError(f'--hparam {assignment}; expected NAME=VALUE')
        changes[name] = literal(value)
    return changes
