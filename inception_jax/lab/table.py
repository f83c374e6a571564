"""The results of runs as rows of a table."""

import json
import math
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import recorded_experiment
from inception_jax.config.overrides import Config, value_at
from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.runs.records import read_records
from inception_jax.runs.run import Run, is_ended, is_finished
from inception_jax.runtime.annotations import fits

Row = dict[str, Any]

SPLITS = ('train', 'evaluation')

# The columns of a row beside the fields that vary.
RESULTS = (
    'filters',
    'verdict',
    'step',
    'onset',
    'confirmed',
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


def member_results(folder: Path, config: Config) -> Row:
    """Returns the results of a member of a sweep, whose run may not have started.

    `config` is that of the member. A run that finished before the sweep was made longer
    is unfinished.
    """
    results = run_results(folder)
    if _finished_a_shorter_sweep(folder, config):
        results['verdict'] = 'unfinished'
    return results


def _finished_a_shorter_sweep(folder: Path, config: Config) -> bool:
    outcome = Run(folder).readable_outcome
    if outcome is None or is_ended(outcome):
        return False
    before, now = (value_at(c, 'run.epochs') for c in (Run(folder).config, config))
    return fits(before, float) and fits(now, float) and before < now


def run_results(folder: Path) -> Row:
    """Returns the results of a run so far; None stands for an unknown value.

    Errors are in percent, `cross_entropy` and `nats_learned` in nats, `dead_channels`
    is a share from 0 to 1, `trend` is in percentage points per 100 steps.
    """
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
        row['dead_channels'] = last.get('dead_channels')
    row['steps_done'] = records[-1]['step'] if records else 0
    outcome = Run(folder).readable_outcome or {}
    row |= {name: outcome[name] for name in row.keys() & outcome.keys()}
    if 'classes' in outcome and row['train_cross_entropy'] is not None:
        row['nats_learned'] = math.log(outcome['classes']) - row['train_cross_entropy']
    if not outcome or not is_finished(outcome):
        failed = (folder / 'error.txt').exists()
        row['verdict'] = 'failed' if failed else 'unfinished'
    return row


def cell_value(value: Any) -> Any:
    """Returns a value of a config as a cell of a table; one with parts is JSON."""
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def final_filters(config: Config) -> int | None:
    """Returns the channels of the final feature map, the subject of section 3.3.

    None if the network is unknown here, or code that is not imported: a table must not
    run it.
    """
    try:
        return filters_of(recorded_experiment(config, 'sweep.json').network)
    except ValueError:
        return None


def filters_of(network: Network) -> int:
    """Returns the channels of the final feature map of a network."""
    heads = ('logits', 'auxiliary')
    return [b for b in measure(network) if b.name not in heads][-1].output[2]
