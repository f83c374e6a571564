"""fork: continue a run from one of its steps with something changed."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments

HELP = 'continue a run from one of its steps with changes'
DETAILS = (
    'The fork is a run of its own in another folder. The same command resumes a fork '
    'that was stopped. A change holds to the end; fork the fork to end it earlier.'
)
EXAMPLES = (
    '--workdir runs/unscaled --step 45 --into runs/saved --set residual_scale=0.1',
    '--workdir runs/unscaled --step 5 --into runs/slow '
    '--set "rate_factors={\'logits\': 0.05}" --set momentum_buffer.logits=0',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the run')
    run_options.arguments(group)
    group.add_argument(
        '--step',
        required=True,
        type=int,
        metavar='N',
        help='step of the run after which the fork begins (required)',
    )
    group = parser.add_argument_group('the fork')
    group.add_argument(
        '--into',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the fork (required)',
    )
    group.add_argument(
        '--set',
        '--hparam',
        dest='changes',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='change of the fork; may be repeated. A field of config.hparams, or '
        'epochs, rate_factors, clip, schedule or batch_norm_decay. Or a part of the '
        'state at this step: momentum_buffer or mean_square, set to a number; '
        'batch_stats, set to init; params, set to init, zero or RUN@STEP. A block or '
        'stage may follow, as in params.logits=init (default: change nothing)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Makes a run that continues from a step of another run, and trains it."""
    refuse_arguments(rest)
    changes = _changes(options.changes)
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
            raise ValueError(f'--set {assignment}; expected NAME=VALUE')
        changes[name] = literal(value)
    return changes
