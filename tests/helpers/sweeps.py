"""Sweeps of a tiny network from the command line, and their tables."""

import csv

import pytest
from helpers.paths import QUICKSTART
from helpers.training import TINY, records

GRID = 'residual_scale=0.1,1;seed=0,1'


SHORT = TINY | {'run.epochs': 3, 'run.checkpoint_every_epochs': 1}


def arguments(folder, *options, command='sweep', **changes):
    fields = SHORT | {name.replace('__', '.'): v for name, v in changes.items()}
    return [
        command,
        f'--config={QUICKSTART}',
        f'--workdir={folder}',
        *options,
        *(f'--config.{name}={value}' for name, value in fields.items()),
    ]


def table(folder):
    with (folder / 'table.csv').open(newline='') as file:
        return list(csv.DictReader(file))


TWO_STEPS = {
    'run__epochs': 1,
    'run__batch_size': 32,
    'run__log_every_steps': 1,
    'run__diagnose_every_steps': 1,
}


def approximately(value, bound=1e-5):
    if isinstance(value, list):
        return [approximately(x, bound) for x in value]
    return pytest.approx(value, bound, bound) if isinstance(value, float) else value


def steps_of(member):
    return [(record['split'], record['step']) for record in records(member)]
