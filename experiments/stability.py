"""Section 3.3: do wide residual networks die, and what keeps them alive?

Claim     with more than 1000 filters residual variants "died" early: the last layer
          before the average pool gave zeros only. Neither a lower rate nor an extra
          batch norm on that layer prevented it, a warm-up at 0.00001 was not enough,
          scaling the residuals by 0.1 to 0.3 was, and never hurt
Command   python experiments/stability.py --scale laptop
Cost      laptop: 25 minutes on 2 CPU cores, 23 runs of 300 steps; gpu: 3.8e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s, 4000 steps; paper: ImageNet, 2.3e19 FLOPs, 3
          days on 8 GPUs at 10 TFLOP/s each
Seeds     three for scale 0.1 against scale 1 in the wide network, one elsewhere
Writes    results/stability/SCALE/: table.csv, verdict.md, report.html, figures/
"""

import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from statistics import mean
from typing import Any

from experiments import study
from experiments.study import Row, Size, died, learned, lives, remark, spread
from inception_jax.commands.shared.cli import markdown_table
from inception_jax.lab.sweep_folder import Sweep

WIDE = 1000  # "if the number of filters exceeded 1000"

LAPTOP = Size(
    config='stability.py',
    changes={'data.evaluation_split': 'test[:2000]'},
    grids=(
        'width.reduction_b=0.25,0.5,1.0,1.871;residual_scale=0.1,0.3,1.0',
        'width.reduction_b=1.0;residual_scale=0.1,1.0;seed=1,2',
        'width.reduction_b=1.0;residual_scale=1.0;learning_rate=0.0045,0.00045',
        'width.reduction_b=1.0;residual_scale=1.0;'
        'warmup_learning_rate=0.00001;warmup_epochs=0.064',
        'width.reduction_b=1.0;residual_scale=1.0;extra_batch_norm=True',
        'width.reduction_b=1.0;residual_scale=0.1,1.0;initializer=he',
        'width.reduction_b=1.0;residual_scale=1.0;clip=True',
    ),
    cost='25 minutes on 2 CPU cores',
)

GPU = Size(
    config='stability.py',
    changes={
        'network.width': 1.0,
        'network.depth': 1.0,
        'run.epochs': 10.24,
        'run.batch_size': 128,
        'run.log_every_steps': 50,
        'run.diagnose_every_steps': 50,
    },
    grids=(
        'width=0.25,0.5,1.0;residual_scale=0.1,0.2,0.3,1.0;seed=0,1,2',
        'residual_scale=1.0;learning_rate=0.0045,0.00045;seed=0,1,2',
        'residual_scale=1.0;warmup_learning_rate=0.00001;warmup_epochs=2.56;seed=0,1,2',
        'residual_scale=1.0;extra_batch_norm=True;seed=0,1,2',
        'residual_scale=0.1,1.0;initializer=he;seed=0,1,2',
        'residual_scale=1.0;clip=True;seed=0,1,2',
    ),
    cost='3.8e16 FLOPs, 2 hours on one GPU at 5 TFLOP/s',
)

PAPER = Size(
    config='imagenet_inception_resnet_v2.py',
    changes={
        'run.epochs': 20.0,
        'recipe.clip': False,
        'recipe.initializer': 'truncated_normal',
    },
    grids=(
        'width=0.25,0.5,1.0;residual_scale=0.1,0.2,0.3,1.0',
        'residual_scale=0.1,1.0;seed=1,2',
        'residual_scale=1.0;learning_rate=0.0045,0.00045',
        'residual_scale=1.0;warmup_learning_rate=0.00001;warmup_epochs=1.0',
        'residual_scale=1.0;extra_batch_norm=True',
        'residual_scale=0.1,1.0;initializer=he',
        'residual_scale=1.0;clip=True',
    ),
    cost='ImageNet, 2.3e19 FLOPs, 3 days on 8 GPUs at 10 TFLOP/s each',
)

# The fields that controls change.
CONTROLS = (
    'learning_rate',
    'warmup_epochs',
    'extra_batch_norm',
    'initializer',
    'clip',
)


def conclude(sweep: Sweep) -> str:
    return remarks(study.rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns the paper's remarks, each with what the table says of it."""
    usual = [row for row in rows if not _control(row, rows[0])]
    unscaled = [row for row in usual if row['residual_scale'] == 1]
    wide = [row for row in unscaled if row['filters'] > WIDE]
    narrow = [row for row in unscaled if row['filters'] <= WIDE]
    scaled = [row for row in usual if row['residual_scale'] < 1]
    said = [
        ('Wide networks die without scaling', all(map(died, wide)), wide),
        ('Narrow networks live without scaling', all(map(lives, narrow)), narrow),
        *_scales(scaled),
        *_controls(rows),
    ]
    lines = [remark(*one) for one in said if one[2]]
    return '\n'.join([*lines, _harm(unscaled, scaled), '', _table(usual)])


def _scales(scaled: list[Row]) -> Iterator[tuple[str, bool, list[Row]]]:
    """Yields whether each scale keeps networks alive; who is dying is not."""
    key = itemgetter('residual_scale')
    for scale, group in groupby(sorted(scaled, key=key), key=key):
        same = list(group)
        claim = f'Scaling by {scale:g} keeps networks of all widths alive'
        yield claim, all(map(lives, same)), same


def _controls(rows: list[Row]) -> Iterator[tuple[str, bool, list[Row]]]:
    """Yields what the paper says of other remedies, whether it holds, and the rows.

    A remedy saves a network that lives and has learned something.
    """
    claims = {
        'learning_rate': 'A lower rate does not save a wide network',
        'warmup_epochs': 'A warm-up at a tiny rate does not save a wide network',
        'extra_batch_norm': 'An extra batch norm does not save a wide network',
        'clip': 'Clipped gradients do not save a wide network (not in the paper)',
        'initializer': 'Another initialiser does not save one (not in the paper)',
    }
    for field, claim in claims.items():
        tried = [
            row
            for row in rows
            if _control(row, rows[0]) == {field} and row['residual_scale'] == 1
        ]
        saved = [row for row in tried if lives(row) and learned(row)]
        yield claim, not saved, tried
    started = [
        row
        for row in rows
        if _control(row, rows[0]) == {'initializer'} and row['residual_scale'] < 1
    ]
    claim = 'A scale keeps one with another initialiser alive (not in the paper)'
    yield claim, all(map(lives, started)), started


def _control(row: Row, base: Row) -> set[str]:
    return {f for f in CONTROLS if row.get(f) != base.get(f)}


def _harm(unscaled: list[Row], scaled: list[Row]) -> str:
    """Returns what scaling costs at the widths that live without it.

    It does no harm if each scale has at each width at most the mean error of scale 1.
    """
    claim = 'Scaling does no harm where it is not needed'
    alive = [row for row in unscaled if lives(row)]
    without = _mean_errors(alive, 'filters')
    same = [row for row in scaled if row['filters'] in without]
    if not same:
        return f'* {claim}: **no answer here**, no network lived without it.'
    with_scale = _mean_errors(same, 'filters', 'residual_scale')
    holds = all(error <= without[width] for (width, _), error in with_scale.items())
    return (
        f'{remark(claim, holds, same)} Without scaling the training error is '
        f'{spread(alive, "train_top_1_error")} %.'
    )


def _mean_errors(rows: list[Row], *fields: str) -> dict[Any, float]:
    """Returns the mean training error of the rows of each value of the fields."""
    key = itemgetter(*fields)
    known = [row for row in rows if row['train_top_1_error'] is not None]
    return {
        value: mean(row['train_top_1_error'] for row in group)
        for value, group in groupby(sorted(known, key=key), key=key)
    }


def _table(rows: list[Row]) -> str:
    """Returns a table of widths and scales, over seeds."""
    key = itemgetter('filters', 'residual_scale')
    lines = []
    for (filters, scale), group in groupby(sorted(rows, key=key), key=key):
        same = list(group)
        dead = sum(row['verdict'] == 'dead' for row in same)
        silent = spread(same, 'dead_channels', 100)
        error = spread(same, 'train_top_1_error')
        lines.append((filters, f'{scale:g}', len(same), dead, silent, error))
    silent, error = 'silent channels, %', 'training error, %'
    return markdown_table(('filters', 'scale', 'seeds', 'dead', silent, error), lines)


if __name__ == '__main__':
    sizes = {'laptop': LAPTOP, 'gpu': GPU, 'paper': PAPER}
    sys.exit(study.run(sys.modules[__name__], sizes, conclude))
