"""Section 3.3: do wide residual networks die, and what keeps them alive?

Claim     with more than 1000 filters residual variants "died" early: the last layer
          before the average pool gave zeros only. Neither a lower rate nor an extra
          batch norm on that layer prevented it, a warm-up at 0.00001 was not enough,
          scaling the residuals by 0.1 to 0.3 was, and never hurt
Command   python experiments/stability.py --scale laptop
Cost      laptop: 20 minutes on 2 CPU cores, 300 steps a member; gpu: some hours on one
          GPU, 4000 steps; paper: ImageNet, some thousand hours on 8 GPUs
Seeds     three for scale 0.1 against scale 1 in the wide network, one elsewhere
Writes    results/stability/SCALE/: table.csv, verdict.md, report.html, figures/
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from statistics import mean

from inception_jax import studies
from inception_jax.studies import Row, Scale

WIDE = 1000  # "if the number of filters exceeded 1000"

LAPTOP = Scale(
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
    cost='20 minutes on 2 CPU cores',
)

GPU = Scale(
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
    cost='some hours on one GPU',
)

PAPER = Scale(
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
    cost='ImageNet, some thousand hours on 8 GPUs',
)

# The fields that controls change.
CONTROLS = (
    'learning_rate',
    'warmup_epochs',
    'extra_batch_norm',
    'initializer',
    'clip',
)


def conclude(rows: list[Row]) -> str:
    """Returns the paper's remarks, each with what the table says of it."""
    usual = [row for row in rows if not _control(row, rows[0])]
    unscaled = [row for row in usual if row['residual_scale'] == 1]
    wide = [row for row in unscaled if row['filters'] > WIDE]
    narrow = [row for row in unscaled if row['filters'] <= WIDE]
    scaled = [row for row in usual if row['residual_scale'] < 1]
    remarks = [
        ('Wide networks die without scaling', _all_died(wide), wide),
        ('Narrow networks live without scaling', not _any_died(narrow), narrow),
        ('Scaling by 0.1 to 0.3 keeps networks alive', not _any_died(scaled), scaled),
        *_controls(rows),
    ]
    lines = [_line(*remark) for remark in remarks if remark[2]]
    return '\n'.join([*lines, _harm(narrow, scaled), '', *_table(usual)])


def _controls(rows: list[Row]) -> Iterator[tuple[str, bool, list[Row]]]:
    """Yields what the paper says of other remedies, whether it holds, and the rows."""
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
        yield claim, _all_died(tried), tried


def _control(row: Row, base: Row) -> set[str]:
    return {f for f in CONTROLS if row.get(f) != base.get(f)}


def _any_died(rows: list[Row]) -> bool:
    return any(row['verdict'] in ('dead', 'diverged') for row in rows)


def _all_died(rows: list[Row]) -> bool:
    return all(row['verdict'] in ('dead', 'diverged') for row in rows)


def _line(claim: str, holds: bool, rows: list[Row]) -> str:
    counts = Counter(row['verdict'] for row in rows)
    verdicts = ', '.join(f'{count} {verdict}' for verdict, count in counts.items())
    return (
        f'* {claim}: **{"holds" if holds else "does not hold"} here** '
        f'({verdicts}; {_range(rows, "dead_channels", 100)} % of channels silent, '
        f'training error {_range(rows, "train_top_1_error")} % at the end).'
    )


def _harm(narrow: list[Row], scaled: list[Row]) -> str:
    """Returns what scaling costs where it is not needed."""
    widths = {row['filters'] for row in narrow}
    same = [row for row in scaled if row['filters'] in widths]
    return (
        '* Scaling does no harm where it is not needed: training error '
        f'{_range(same, "train_top_1_error")} % with scales below 1 against '
        f'{_range(narrow, "train_top_1_error")} % without, at up to {WIDE} filters.'
    )


def _table(rows: list[Row]) -> Iterator[str]:
    """Yields the lines of a table of widths and scales, over seeds."""
    yield '| filters | scale | seeds | dead | silent channels, % | training error, % |'
    yield '|---|---|---|---|---|---|'
    key = itemgetter('filters', 'residual_scale')
    for (filters, scale), group in groupby(sorted(rows, key=key), key=key):
        same = list(group)
        dead = sum(row['verdict'] == 'dead' for row in same)
        yield (
            f'| {filters} | {scale:g} | {len(same)} | {dead} | '
            f'{_range(same, "dead_channels", 100)} | '
            f'{_range(same, "train_top_1_error")} |'
        )


def _range(rows: list[Row], name: str, factor: float = 1.0) -> str:
    """Returns the mean and, of several different values, the least and the greatest."""
    values = [factor * row[name] for row in rows if row[name] is not None]
    if not values:
        return 'unknown'
    if len(values) == 1:
        return f'{values[0]:.1f}'
    return f'{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})'


if __name__ == '__main__':
    scales = {'laptop': LAPTOP, 'gpu': GPU, 'paper': PAPER}
    sys.exit(studies.run(sys.modules[__name__], scales, conclude))
