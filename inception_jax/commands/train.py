"""train: train a network, or resume a run."""

import argparse
import time
from collections.abc import Callable

from inception_jax.commands.shared import dry_run, process_options, run_options
from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments
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
        type=path_option,
        metavar='DIR',
        help='folder of the run; a run that is there resumes',
    )
    run_options.add_network(parser)
    dry_run.arguments(parser)
    process_options.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the network of a config in a workdir, or resumes the run in it."""
    began = time.monotonic()
    if options.dry_run:
        return dry_run.run(options, _experiment(options, rest))
    process_options.connect(options)
    from inception_jax.parallel.mesh import all_devices
    from inception_jax.runtime import processes
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.training.agreement import command_facts, run_facts
    from inception_jax.training.prepare import prepare
    from inception_jax.training.run import start_run

    compute_where_called()
    with processes.failing_together(2, ValueError, OSError):
        checked = _experiment(options, rest)
        # Before the devices start, which waits for all processes.
        processes.agree_on(command_facts(checked, options.workdir))
        all_devices()
        prepared = prepare(checked, options.workdir)
        processes.agree_on(run_facts(prepared))
        say = print_now if processes.is_first() else None
        work = start_run(prepared, say=say, began=began)

    def train_and_leave() -> int:
        status = work().exit_status
        processes.leave()
        return status

    return train_and_leave


def _experiment(options: argparse.Namespace, rest: list[str]):
    """Returns the checked config of the options.

    Raises:
      ValueError: an option or a field of the config is wrong.
    """
    from inception_jax.config.experiment import experiment, recorded_experiment
    from inception_jax.runs.run import Run
    from inception_jax.runs.workdir import CONFIG

    changes = parse_overrides(rest) if options.config else {}
    if not options.workdir and not (options.dry_run and options.config):
        raise ValueError('--workdir DIR is missing; name the folder of the run')
    dry = options.topology or options.largest_batch or options.format
    if dry and not options.dry_run:
        raise ValueError(
            '--topology, --largest-batch and --format need --dry-run; add it'
        )
    if options.config:
        if options.network:
            raise ValueError('--network is for a run without --config; leave it out')
        return experiment(load_config(options.config, **changes))
    refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
    return recorded_experiment(
        Run(options.workdir).config, options.workdir / CONFIG, options.network
    )
