"""train: train a network, or go on with a run."""

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import dry_run, process_options
from inception_jax.commands.shared.cli import refuse_arguments
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides

HELP = 'train a network, or go on with a run'
EPILOG = 'Any field of the config can be set: --config.run.epochs=20'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help="a config, and the network if not its own; a run's own goes without",
    )
    parser.add_argument(
        '--workdir',
        type=Path,
        metavar='DIR',
        help='where the run lives; a run that is there goes on',
    )
    dry_run.arguments(parser)
    process_options.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the network of a config in a workdir, or goes on with the run in it."""
    began = time.monotonic()
    from inception_jax.config.experiment import experiment
    from inception_jax.runs.run import Run

    if not options.workdir and not (options.dry_run and options.config):
        raise ValueError('--workdir DIR is missing; it is where the run lives')
    if options.config:
        chosen = experiment(load_config(options.config, **parse_overrides(rest)))
    else:
        refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
        chosen = experiment(Run(options.workdir).config)
    if options.dry_run:
        return dry_run.run(options, chosen)
    if options.topology or options.largest_batch or options.format:
        raise ValueError(
            '--topology, --largest-batch and --format belong to --dry-run; add it'
        )
    process_options.connect(options)
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.runtime.processes import failing_together
    from inception_jax.training.prepare import prepare

    compute_where_called()
    with failing_together(2, ValueError, OSError):
        return begun(prepare(chosen, options.workdir), began)


def begun(prepared, began: float | None = None) -> Callable[[], int]:
    """Takes possession of the workdir of a run, and returns the rest of the work.

    The time to its first step is told from `began` on.

    Raises:
      ValueError: another process has it, or the run in it cannot go on.
    """
    from inception_jax.runs.lock import lock_workdir
    from inception_jax.runtime.processes import is_first
    from inception_jax.training.resume import start_or_resume

    with contextlib.ExitStack() as held:
        if is_first():
            held.enter_context(lock_workdir(prepared.workdir))
        state, seen = start_or_resume(prepared)
        kept = held.pop_all()
    return lambda: _work(prepared, state, seen, kept, began)


def _work(prepared, state, seen, held, began: float | None) -> int:
    """Trains to the end, says what came of it, and returns the exit status."""
    from inception_jax.runs.workdir import log_command
    from inception_jax.runtime.processes import is_first
    from inception_jax.training import summary
    from inception_jax.training.failures import outside_errors_as_stopped
    from inception_jax.training.loop import train

    with held, outside_errors_as_stopped():
        if is_first():
            log_command(prepared.workdir)
            print(summary.run_header(prepared, int(state.step)), flush=True)
        outcome = train(prepared, state, seen, lines=is_first(), began=began)
        if is_first():
            print(summary.write_summary(prepared, outcome))
    stopped = outcome.signal is not None and outcome.step < prepared.steps
    return 128 + outcome.signal if stopped else 0
