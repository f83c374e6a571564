"""fork: go on from a step of a run with other numbers."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'go on from a step of a run with other numbers'
EPILOG = (
    'Numbers are those of the hparams of the config, and run.epochs: '
    '--hparam residual_scale=0.1. The same command goes on with a fork that was '
    'stopped.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workdir', required=True, type=Path, metavar='DIR', help='the run'
    )
    parser.add_argument(
        '--step', required=True, type=int, metavar='N', help='after how many steps'
    )
    parser.add_argument(
        '--into', required=True, type=Path, metavar='DIR', help='where the fork lives'
    )
    parser.add_argument(
        '--hparam',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='a number that changes',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Makes a run of its own that goes on from a step of another, and trains it."""
    from inception_jax.config.overrides import literal

    refuse_arguments(rest)
    changes = {}
    for text in options.hparam:
        name, equals, value = text.partition('=')
        if not equals:
            raise ValueError(f'--hparam {text}; expected NAME=VALUE')
        changes[name] = literal(value)
    from inception_jax.commands.train import begun
    from inception_jax.lab.fork import make_fork, plan_fork
    from inception_jax.runtime.files import refuse_unwritable
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.training.failures import outside_errors_as_stopped
    from inception_jax.training.states import open_run

    compute_where_called()
    parent = open_run(options.workdir)
    fork = plan_fork(parent, options.step, changes, options.into)
    if options.into.exists():
        return begun(fork.child)

    with refuse_unwritable(options.into):
        options.into.parent.mkdir(parents=True, exist_ok=True)

    def make_and_train() -> int:
        with outside_errors_as_stopped():
            make_fork(fork)
        return begun(fork.child)()

    return make_and_train
