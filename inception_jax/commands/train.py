"""train: train a network, or resume a run."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared import dry_run, process_options
from inception_jax.commands.shared.cli import print_now, refuse_arguments
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides

HELP = 'train a network, or resume a run'
EPILOG = 'Any field of the config can be set: --config.run.epochs=20'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config file, with another network if the file takes one; a run that is '
        'there resumes without it, with the recorded config',
    )
    parser.add_argument(
        '--workdir',
        type=Path,
        metavar='DIR',
        help='folder of the run; a run that is there resumes',
    )
    dry_run.arguments(parser)
    process_options.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the network of a config in a workdir, or resumes the run in it."""
    began = time.monotonic()
    from inception_jax.config.experiment import experiment
    from inception_jax.runs.run import Run

    if not options.workdir and not (options.dry_run and options.config):
        raise ValueError('--workdir DIR is missing; name the folder of the run')
    if options.config:
        config = load_config(options.config, **parse_overrides(rest))
    else:
        refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
        config = Run(options.workdir).config
    checked = experiment(config)
    if options.dry_run:
        return dry_run.run(options, checked)
    if options.topology or options.largest_batch or options.format:
        raise ValueError(
            '--topology, --largest-batch and --format need --dry-run; add it'
        )
    process_options.connect(options)
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.runtime.processes import failing_together, is_first
    from inception_jax.training.prepare import prepare
    from inception_jax.training.run import start_run

    compute_where_called()
    with failing_together(2, ValueError, OSError):
        prepared = prepare(checked, options.workdir)
        work = start_run(prepared, say=print_now if is_first() else None, began=began)
    return lambda: work().exit_status
