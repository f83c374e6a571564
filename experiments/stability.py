"""Section 3.3: do wide residual networks die, and what keeps them alive?

Claim     residual networks with more than 1000 filters "died" early: the last layer
          before the average pool produced only zeros. A lower rate, an extra batch norm
          on that layer or a warm-up at 0.00001 did not prevent this. Scaling the
          residuals by 0.1 to 0.3 prevented it, and never did harm
Command   python experiments/stability.py --scale laptop
Cost      laptop: 25 minutes on 2 CPU cores, 23 runs of 300 steps; gpu: 3.8e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s, 4000 steps; paper: ImageNet, 2.3e19 FLOPs, 3
          days on 8 GPUs at 10 TFLOP/s each
Seeds     three for scale 0.1 and scale 1 in the wide network, one elsewhere
Writes    results/stability/SCALE/: table.csv, verdict.md, report.html, figures/
"""

import sys
from collections.abc import Callable
from operator import itemgetter
from typing import TYPE_CHECKING

from experiments import intervals, study
from experiments.study import Claim, Row, Size, died, learned, lives, never
from inception_jax.runtime.amounts import counted

if TYPE_CHECKING:
    from inception_jax.lab.sweep_folder import Sweep

WIDE = 1000  # "if the number of filters exceeded 1000"

SIZES = {
    'laptop': Size(
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
    ),
    'gpu': Size(
        config='stability.py',
        changes=study.FULL_NETWORK | {'run.log_every_steps': 50},
        grids=(
            'width=0.25,0.5,1.0;residual_scale=0.1,0.2,0.3,1.0;seed=0,1,2',
            'residual_scale=1.0;learning_rate=0.0045,0.00045;seed=0,1,2',
            'residual_scale=1.0;warmup_learning_rate=0.00001;warmup_epochs=2.56;'
            'seed=0,1,2',
            'residual_scale=1.0;extra_batch_norm=True;seed=0,1,2',
            'residual_scale=0.1,1.0;initializer=he;seed=0,1,2',
            'residual_scale=1.0;clip=True;seed=0,1,2',
        ),
        cost='3.8e16 FLOPs, 2 hours on one GPU at 5 TFLOP/s',
    ),
    'paper': Size(
        config='imagenet.py:inception_resnet_v2',
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
    ),
}

# The fields that controls change. A row lists its changes under `controls`.
CONTROLS = ('learning_rate', 'warmup_epochs', 'extra_batch_norm', 'initializer', 'clip')


def unscaled(row: Row) -> bool:
    return row['residual_scale'] == 1


def usual(row: Row) -> bool:
    return not row['controls']


def saved(row: Row) -> bool:
    """Returns whether a network lives and has learned something."""
    return lives(row) and learned(row)


def control(field: str) -> Callable[[Row], bool]:
    return lambda row: unscaled(row) and row['controls'] == {field}


CLAIMS = (
    Claim(
        'Wide networks die without scaling',
        lambda row: usual(row) and unscaled(row) and row['filters'] > WIDE,
        died,
    ),
    Claim(
        'Narrow networks live without scaling',
        lambda row: usual(row) and unscaled(row) and row['filters'] <= WIDE,
        lives,
    ),
    *(
        Claim(
            f'Scaling by {scale:g} keeps networks of all widths alive',
            lambda row, scale=scale: usual(row) and row['residual_scale'] == scale,
            lives,
        )
        for scale in (0.1, 0.2, 0.3)
    ),
    *(
        Claim(statement, control(field), never(saved))
        for field, statement in {
            'learning_rate': 'A lower rate does not save a wide network',
            'warmup_epochs': 'A warm-up at a tiny rate does not save a wide network',
            'extra_batch_norm': 'An extra batch norm does not save a wide network',
            'clip': 'Clipped gradients do not save a wide network (not in the paper)',
            'initializer': 'Another initialiser does not save one (not in the paper)',
        }.items()
    ),
    Claim(
        'A scale keeps one with another initialiser alive (not in the paper)',
        lambda row: not unscaled(row) and row['controls'] == {'initializer'},
        lives,
    ),
)


def conclude(sweep: 'Sweep') -> str:
    return remarks(study.finished_rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns the claims with their answers, and a table of widths and scales."""
    base = {field: rows[0].get(field) for field in CONTROLS}
    rows = [
        row | {'controls': {f for f in CONTROLS if row.get(f) != base[f]}}
        for row in rows
    ]
    plain = sorted(filter(usual, rows), key=itemgetter('filters', 'residual_scale'))
    columns = {
        'filters': lambda row: str(row['filters']),
        'scale': lambda row: f'{row["residual_scale"]:g}',
    }
    lines = [*study.answers(CLAIMS, rows), _harm(plain)]
    return '\n'.join([*lines, '', study.results_table(plain, columns)])


def _harm(rows: list[Row]) -> str:
    """Returns whether scaling raises the error of networks that live without it.

    A scaled run and the run at scale 1 with the same width and seed make a pair.
    """
    claim = '* Scaling does no harm where it is not needed'
    alive = [row for row in rows if unscaled(row) and lives(row)]
    scaled = [row for row in rows if not unscaled(row)]
    differences = study.paired_errors(scaled, alive, 'filters', 'seed')
    if not differences:
        return f'{claim}: **no answer here**, no network lived without scaling.'
    harm = intervals.mean_difference(differences)
    answer = intervals.answer(holds=harm.high < study.HARM_POINTS, fails=harm.low > 0)
    return (
        f'{claim}: **{answer}**: scaling changes the training error by {harm.text()} '
        f'points ({counted(len(differences), "pair")} of one width and seed; below '
        f'{study.HARM_POINTS:g} is no harm). Without scaling the error is '
        f'{study.spread(alive, study.ERROR)} %.'
    )


if __name__ == '__main__':
    sys.exit(study.run(sys.modules[__name__]))
