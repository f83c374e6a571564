"""The results of a sweep as one tidy table: a row a member."""

import csv
import json
import math
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import experiment
from inception_jax.config.overrides import Config, value_at
from inception_jax.lab.grid import Sweep, read_sweep
from inception_jax.networks.shapes import measure
from inception_jax.runs.outcome import is_ended, is_finished
from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run
from inception_jax.runtime.files import lock_file, write_atomically

Row = dict[str, Any]

SPLITS = ('train', 'evaluation')

# What a row says about a member beside the fields that vary.
RESULTS = (
    'filters',
    'verdict',
    'step',
    'layer',
    'trend',
    'steps_done',
    'steps',
    'top_1_error',
    'top_5_error',
    'cross_entropy',
    'best_top_1_error',
    'train_cross_entropy',
    'train_top_1_error',
    'dead_channels',
    'nats_learned',
)


def sweep_rows(sweep: Sweep) -> list[Row]:
    """Returns the rows of all members, as far as they have come; None is unknown."""
    return [_row(sweep, member) for member in sweep.members]


def write_table(folder: Path) -> None:
    """Writes table.csv into the folder of a sweep, in one piece.

    Parts of a sweep that end at the same time take turns, so that the last table knows
    what all of them found.
    """
    path = folder / 'table.csv'
    with lock_file(path):
        sweep = read_sweep(folder)
        table = sweep_rows(sweep)
        with (
            write_atomically(path) as draft,
            draft.open('w', newline='') as file,
        ):
            writer = csv.writer(file)
            columns = ['member', *sweep.varied.values(), *RESULTS]
            writer.writerow(columns)
            writer.writerows(
                [cell_value(row[column]) for column in columns] for row in table
            )


def _row(sweep: Sweep, member: str) -> Row:
    config, folder = sweep.config_of(member), sweep.workdir(member)
    row = {
        'member': member,
        **{short: value_at(config, field) for field, short in sweep.varied.items()},
        **run_results(folder),
        'filters': _filters(config),
    }
    return row | ({'verdict': 'unfinished'} if _is_shorter(folder, config) else {})


def _is_shorter(folder: Path, config: Config) -> bool:
    """Tells whether a run came to an end before the sweep was made longer."""
    verdict = Run(folder).readable_outcome
    if verdict is None or is_ended(verdict):
        return False
    return Run(folder).config['run']['epochs'] < config['run']['epochs']


def run_results(folder: Path) -> Row:
    """Returns what the folder of a run says of it, as far as it has come."""
    row: Row = dict.fromkeys(RESULTS)
    try:
        records = read_records(folder)
    except ValueError:
        return row | {'verdict': 'failed'}
    by_split = {s: [r for r in records if r['split'] == s] for s in SPLITS}
    for last in by_split['evaluation'][-1:]:
        row |= {name: last[name] for name in ('top_1_error', 'top_5_error')}
        row['cross_entropy'] = last['cross_entropy']
        errors = [r['top_1_error'] for r in by_split['evaluation']]
        row['best_top_1_error'] = min(
            (e for e in errors if e is not None), default=None
        )
    for last in by_split['train'][-1:]:
        row['train_cross_entropy'] = last['cross_entropy']
        row['train_top_1_error'] = last['top_1_error']
        row['dead_channels'] = last['dead_channels']
    row['steps_done'] = records[-1]['step'] if records else 0
    verdict = Run(folder).readable_outcome or {}
    row |= {name: verdict[name] for name in row.keys() & verdict.keys()}
    if 'classes' in verdict and row['train_cross_entropy'] is not None:
        row['nats_learned'] = math.log(verdict['classes']) - row['train_cross_entropy']
    if not verdict or not is_finished(verdict):
        failed = (folder / 'error.txt').exists()
        row['verdict'] = 'failed' if failed else 'unfinished'
    return row


def cell_value(value: Any) -> Any:
    """Returns a value of a config as a cell of a table: JSON text if it has parts."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _filters(config: Config) -> int:
    """Returns the channels of the last grid: the number that section 3.3 is about."""
    heads = ('logits', 'auxiliary')
    blocks = measure(experiment(config).network)
    return [block for block in blocks if block.name not in heads][-1].output[2]
