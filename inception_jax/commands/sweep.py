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

HELP = 'train a network with many values of some config fields'
DETAILS = (
    'Each combination of values is a member, a run of its own. Members that differ '
    'only in config.hparams or the seed share one compiled step. The same command '
    'resumes a sweep that was stopped; a larger grid adds members.'
)
EXAMPLES = (
    "--config configs/quickstart.py --workdir runs/scales --grid 'residual_scale=0.1,1;"
    "seed=0,1'",
    '--workdir runs/scales',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the sweep')
    group.add_argument(
        '--workdir',
        required=True,
        type=path_option,
        metavar='DIR',
        help='folder of the sweep; a sweep in it resumes (required)',
    )
    group.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help='config that the members share, with fields as --config.SECTION.FIELD='
        'VALUE (default: the config that the folder has recorded)',
    )
    run_options.add_network(group)
    group = parser.add_argument_group('the members')
    group.add_argument(
        '--grid',
        action='append',
        default=[],
        metavar='GRID',
        help='fields and their values, NAME=VALUE,VALUE;NAME=VALUE. The fields of a '
        'grid multiply. The option may be repeated, and grids add up (default: the '
        'members that the folder has recorded)',
    )
    group.add_argument(
        '--list',
        type=path_option,
        metavar='FILE',
        help='JSON file with a list of members; each is an object of fields and values '
        '(default: no more members)',
    )
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
        print_now(f'verdicts: {sweep.verdict_counts()}\n{sweep.folder / "table.csv"}')
        return summary.exit_status

    return work
