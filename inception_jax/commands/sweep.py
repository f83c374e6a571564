"""sweep: train all members of a grid."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared import run_options
from inception_jax.commands.shared.cli import (
    add_engine_and_shard,
    path_option,
    print_now,
    refuse_arguments,
)
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides

HELP = 'train a config with many values of some fields'
EPILOG = (
    'Fields of a grid multiply, several grids add up: '
    "--grid 'residual_scale=0.1,1;seed=0,1' --grid 'learning_rate=0.0045;"
    "residual_scale=1'. The same command resumes a sweep that was stopped; a larger "
    'grid adds members to it.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config that the members share; a sweep that is there resumes without it',
    )
    parser.add_argument(
        '--workdir',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the sweep',
    )
    parser.add_argument(
        '--grid',
        action='append',
        default=[],
        metavar='GRID',
        help='values of fields, NAME=VALUES;...; may be repeated',
    )
    parser.add_argument(
        '--list',
        type=path_option,
        metavar='FILE',
        help='JSON file of members, a list of objects',
    )
    run_options.add_network(parser)
    add_engine_and_shard(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Trains the members of a grid, and writes their table."""
    from inception_jax.config.experiment import recorded_experiment
    from inception_jax.lab.grid import (
        name_members,
        parse_grid,
        parse_shard,
        read_member_list,
    )
    from inception_jax.lab.sweep import start_sweep
    from inception_jax.lab.sweep_folder import open_sweep, read_sweep
    from inception_jax.runs.workdir import SWEEP
    from inception_jax.runtime.memory import compute_where_called

    shard = parse_shard(options.shard)
    if options.config and options.network:
        raise ValueError('--network is for a sweep without --config; leave it out')
    if options.config:
        base = load_config(options.config, **parse_overrides(rest))
    else:
        refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
        base = read_sweep(options.workdir).config
        recorded_experiment(base, options.workdir / SWEEP, options.network)
    members = [changes for grid in options.grid for changes in parse_grid(base, grid)]
    if options.list:
        members += read_member_list(base, options.list)
    compute_where_called()
    sweep = open_sweep(options.workdir, base, name_members(members))
    train = start_sweep(sweep, options.engine, shard, say=print_now)

    def work() -> int:
        summary = train()
        print_now(f'all: {sweep.verdict_counts()}\n{sweep.folder / "table.csv"}')
        return summary.exit_status

    return work
