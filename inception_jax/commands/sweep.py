"""sweep: run all members of a grid."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import add_engine_and_shard, refuse_arguments
from inception_jax.config.files import load_config
from inception_jax.config.overrides import parse_overrides

HELP = 'run a config with many values of some fields'
EPILOG = (
    "Grids multiply inside and add up: --grid 'residual_scale=0.1,1;seed=0,1' "
    "--grid 'learning_rate=0.0045;residual_scale=1'. The same command goes on with a "
    'sweep that was stopped; a larger grid adds members to it.'
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--config',
        metavar='FILE[:NETWORK]',
        help="what members share; a sweep's own goes without",
    )
    parser.add_argument(
        '--workdir', required=True, type=Path, metavar='DIR', help='where it lives'
    )
    parser.add_argument(
        '--grid', action='append', default=[], metavar='GRID', help='NAME=VALUES;...'
    )
    parser.add_argument(
        '--list', type=Path, metavar='FILE', help='members as a JSON list of objects'
    )
    add_engine_and_shard(parser)


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Runs the members of a grid, and writes their table."""
    from inception_jax.lab.grid import (
        grid_product,
        name_members,
        open_sweep,
        parse_shard,
        read_member_list,
        read_sweep,
        write_sweep,
    )

    shard = parse_shard(options.shard)
    if options.config:
        base = load_config(options.config, **parse_overrides(rest))
    else:
        refuse_arguments(rest, 'fields are set with --config FILE.py only; see --help')
        base = read_sweep(options.workdir).config
    changes = [c for grid in options.grid for c in grid_product(base, grid)]
    if options.list:
        changes += read_member_list(base, options.list)
    found = open_sweep(options.workdir, base, name_members(changes))
    if not found.members:
        raise ValueError("no members; name some, e.g. --grid 'residual_scale=0.1,1'")
    from inception_jax.lab import sweep
    from inception_jax.runtime.memory import compute_where_called

    compute_where_called()
    prepared = sweep.prepare_members(found, options.engine)
    write_sweep(found)
    return lambda: _work(found, prepared, options.engine, shard)


def _work(found, prepared, engine, shard) -> int:
    from inception_jax.lab import sweep
    from inception_jax.lab.table import sweep_rows
    from inception_jax.runs.workdir import log_command
    from inception_jax.stability.verdicts import verdict_counts

    part = f', part {shard[0]}/{shard[1]}' if shard[1] > 1 else ''
    print(f'{len(prepared)} members in {found.folder}{part}', flush=True)
    log_command(found.folder)
    summary = sweep.run_members(found, prepared, engine=engine, shard=shard)
    print(sweep.sweep_text(summary))
    print(f'all: {verdict_counts(row["verdict"] for row in sweep_rows(found))}')
    print(found.folder / 'table.csv')
    if summary.signal:
        return 128 + summary.signal
    return 1 if summary.failed else 0
