"""train: train a network, or resume a run."""

import argparse
import json
import time
from collections.abc import Callable

from inception_jax.commands.shared import dry_run, process_options, run_options
from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments
from inception_jax.config.files import load_config
from inception_jax.config.overrides import Config, parse_overrides

HELP = 'train a network, or resume a run'
DETAILS = (
    'The run writes its records, checkpoints and figures into --workdir. The same '
    'command resumes a run that was stopped, bit-exact on the same machine.'
)
EXAMPLES = (
    '--config configs/quickstart.py --workdir runs/quickstart',
    '--config configs/quickstart.py:inception_v4 --workdir runs/v4 '
    '--config.run.epochs=20',
    '--config configs/quickstart.py --show-config',
    '--workdir runs/quickstart',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        'the run',
        'Any field of the config is an option, e.g. --config.run.epochs=20. '
        '--show-config lists the fields.',
    )
    group.add_argument(
        '--workdir',
        type=path_option,
        metavar='DIR',
        help='folder of the run; a run in it resumes (default: none; only '
        '--show-config and --dry-run need no folder)',
    )
    group.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config file, and the network to train if the file takes one (default: '
        'the config that the folder has recorded)',
    )
    run_options.add_network(group)
    dry_run.arguments(parser)
    process_options.arguments(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the network of a config in a workdir, or resumes the run in it."""
    began = time.monotonic()
    if options.show_config:
        return show_config(_experiment(options, rest).config, options.format)
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


def show_config(config: Config, output_format: str | None) -> Callable[[], int]:
    """Returns the work: to print a config with its meanings, or as JSON."""
    from inception_jax.config.reference import config_text

    is_json = output_format == 'json'
    text = json.dumps(config, indent=2) if is_json else config_text(config)
    return lambda: print_now(text) or 0


def _experiment(options: argparse.Namespace, rest: list[str]):
    """Returns the checked config of the options.

    Raises:
      ValueError: an option or a field of the config is wrong.
    """
    from inception_jax.config.experiment import experiment, recorded_experiment
    from inception_jax.runs.run import Run
    from inception_jax.runs.workdir import CONFIG

    changes = parse_overrides(rest) if options.config else {}
    trains = not (options.dry_run or options.show_config)
    if not options.workdir and (trains or not options.config):
        raise ValueError('--workdir DIR is missing; name the folder of the run')
    if (options.topology or options.largest_batch) and not options.dry_run:
        raise ValueError('--topology and --largest-batch need --dry-run; add it')
    if options.format and trains:
        raise ValueError('--format needs --show-config or --dry-run; add one of them')
    if options.config:
        if options.network:
            raise ValueError('--network is for a run without --config; leave it out')
        return experiment(load_config(options.config, **changes))
    refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
    return recorded_experiment(
        Run(options.workdir).config, options.workdir / CONFIG, options.network
    )
