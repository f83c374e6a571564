"""Section 3.3: does a residual scale do more than a lower learning rate?

Claim     a lower learning rate does not replace a residual scale of 0.1 to 0.3. In
          section 3.3 a lower rate did not keep wide networks alive, and scaling never
          harmed the result
Command   python experiments/scale_and_rate.py --scale laptop
Cost      laptop: 45 minutes on 2 CPU cores, 28 runs of 200 steps; gpu: 4.3e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 2.0e19 FLOPs, 3 days on 8 GPUs
          at 10 TFLOP/s each
Seeds     two for each pair of scale and rate, and for each control
Writes    results/scale_and_rate/SCALE/: table.csv, verdict.md, report.html, figures/

Matched rates. In relu(x + s F(x)) the scale s acts on one layer, the linear 1x1 W at
the end of F: the network computes with V = s W. A step of gradient descent with rate r
moves V by s^2 r dLoss/dV. So scale s is equivalent to scale 1 with V initialised s
times smaller and trained with rate s^2 r. The gradients of all other layers, including
the layers before W, depend only on V, so s does not change them. Therefore no rate of
the whole network matches a scale. The nearest rates are s^2 r, and s r for an optimizer
that divides by the size of the gradients. RMSProp with its epsilon of 1.0 hardly does.

Two controls separate the effects of a scale. At step 0 each control computes the same
outputs as one corner of the grid of scales and rates:
  SMALL_START, scale 1    V starts as at scale 0.1, and moves at the full rate r
  LARGE_START, scale 0.1  V starts as at scale 1, and moves at r / 100
"""

import dataclasses
import sys
from operator import itemgetter
from statistics import mean
from typing import TYPE_CHECKING

from experiments import intervals, study
from experiments.study import Claim, Row, Size, errors, learned, lives, spread
from inception_jax.networks.network import Network, map_network
from inception_jax.networks.ops import Conv, Op
from inception_jax.networks.paper import INCEPTION_RESNET_V2

if TYPE_CHECKING:
    from inception_jax.lab.sweep_folder import Sweep

RATE = 0.045
RATES = (RATE, 0.0135, 0.0045, 0.00045)
# By scale s: the rates of the grid that are nearest to s r and s^2 r.
MATCHED = {0.1: (0.0045, 0.00045), 0.3: (0.0135, 0.0045)}
STDDEV = 0.1  # The standard deviation of the initialiser truncated_normal.


def with_linear_stddev(network: Network, name: str, stddev: float) -> Network:
    """Returns a network whose linear 1x1 layers start with this standard deviation."""

    def change(op: Op) -> Op:
        is_linear = isinstance(op, Conv) and op.linear
        return dataclasses.replace(op, stddev=stddev) if is_linear else op

    return dataclasses.replace(map_network(change, network), name=name)


SMALL_START = with_linear_stddev(INCEPTION_RESNET_V2, 'small_start', 0.1 * STDDEV)
LARGE_START = with_linear_stddev(INCEPTION_RESNET_V2, 'large_start', 10 * STDDEV)
CONTROLS = {
    'SMALL_START': 'experiments.scale_and_rate:SMALL_START',
    'LARGE_START': 'experiments.scale_and_rate:LARGE_START',
}


def grids(seeds: str) -> tuple[str, ...]:
    """Returns the grid of scales and rates, and the two controls."""
    return (
        'residual_scale=0.1,0.3,1.0;'
        f'learning_rate={",".join(map(str, RATES))};seed={seeds}',
        f'name={CONTROLS["SMALL_START"]};residual_scale=1.0;seed={seeds}',
        f'name={CONTROLS["LARGE_START"]};residual_scale=0.1;seed={seeds}',
    )


SIZES = {
    'laptop': Size(
        config='stability.py',
        changes=study.SMALL_NETWORK,
        grids=grids('0,1'),
        cost='45 minutes on 2 CPU cores',
    ),
    'gpu': Size(
        config='stability.py',
        changes=study.FULL_NETWORK,
        grids=grids('0,1,2'),
        cost='4.3e16 FLOPs, 2 hours on one GPU at 5 TFLOP/s',
    ),
    'paper': Size(
        config='imagenet.py:inception_resnet_v2',
        changes={
            'run.epochs': 10.0,
            'recipe.clip': False,
            'recipe.initializer': 'truncated_normal',
        },
        grids=grids('0,1'),
        cost='ImageNet, 2.0e19 FLOPs, 3 days on 8 GPUs at 10 TFLOP/s each',
    ),
}


def is_control(row: Row, name: str) -> bool:
    return row['name'] == CONTROLS[name]


def in_grid(row: Row, scale: float) -> bool:
    return row['name'] not in CONTROLS.values() and row['residual_scale'] == scale


LOWER_RATE = Claim(
    'A lower rate keeps scale 1 alive',
    lambda row: in_grid(row, 1.0) and row['learning_rate'] < RATE,
    lives,
)
SMALL = Claim(
    'The small start of scale 0.1, at the full rate, keeps alive',
    lambda row: is_control(row, 'SMALL_START'),
    lives,
)
LOW_RATE = Claim(
    'The low rate of the last layers of scale 0.1, from the full start, keeps alive',
    lambda row: is_control(row, 'LARGE_START'),
    lives,
)


def conclude(sweep: 'Sweep') -> str:
    return remarks(study.finished_rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns the verdicts on a lower rate at scale 1 and on the two controls."""
    key = itemgetter('name', 'residual_scale', 'learning_rate')
    starts = {path: name for name, path in CONTROLS.items()}
    columns = {
        'start': lambda row: starts.get(row['name'], 'usual'),
        'scale': lambda row: f'{row["residual_scale"]:g}',
        'rate': lambda row: f'{row["learning_rate"]:g}',
    }
    lines = [
        *study.answers([LOWER_RATE], rows),
        _at_best_rates(rows),
        *(_at_matched_rates(rows, scale) for scale in MATCHED),
        *_controls(rows),
        '',
        study.results_table(sorted(rows, key=key), columns),
    ]
    return '\n'.join(lines)


def _cell(rows: list[Row], scale: float, rate: float) -> list[Row]:
    return [r for r in rows if in_grid(r, scale) and r['learning_rate'] == rate]


def _at_best_rates(rows: list[Row]) -> str:
    """Returns whether scale 1 learns as much as scale 0.1, each at its best rate."""
    claim = '* A lower rate at scale 1 gives what scale 0.1 gives'
    unscaled, tenth = _best_cell(rows, 1.0), _best_cell(rows, 0.1)
    if not tenth:
        return f'{claim}: no answer here, scale 0.1 lives and learns at no rate.'
    if not unscaled:
        return f'{claim}: **does not hold here**: scale 1 lives and learns at no rate.'
    gap = intervals.mean_difference(study.paired_errors(unscaled, tenth, 'seed'))
    answer = intervals.answer(holds=gap.high < study.HARM_POINTS, fails=gap.low > 0)
    results = ' and '.join(
        f'{spread(cell, study.ERROR)} % at scale {cell[0]["residual_scale"]:g} (rate '
        f'{cell[0]["learning_rate"]:g}, {spread(cell, "dead_channels", 100)} % of '
        'channels silent)'
        for cell in (unscaled, tenth)
    )
    return (
        f'{claim}: **{answer}**. Each at its best rate, the training error after equal '
        f'steps is {results}. Scale 1 minus scale 0.1 is {gap.text()} points.'
    )


def _best_cell(rows: list[Row], scale: float) -> list[Row]:
    """Returns the rows of the rate at which a scale lives, learns and is best."""
    cells = [_cell(rows, scale, rate) for rate in RATES]
    alive = [
        cell
        for cell in cells
        if all(lives(row) and learned(row) for row in cell) and errors(cell)
    ]
    return min(alive, key=lambda cell: mean(errors(cell)), default=[])


def _at_matched_rates(rows: list[Row], scale: float) -> str:
    matched = '; '.join(
        f'scale 1 at {rate:g} ({name}): {spread(_cell(rows, 1.0, rate), study.ERROR)} %'
        for name, rate in zip(('s r', 's^2 r'), MATCHED[scale], strict=True)
    )
    scaled = spread(_cell(rows, scale, RATE), study.ERROR)
    return (
        f'* Matched rates, training error: scale {scale:g} at {RATE:g}: {scaled} %; '
        f'{matched}.'
    )


def _controls(rows: list[Row]) -> list[str]:
    """Returns the effects of the small start and of a low rate of the last layers."""
    small, low = (list(filter(c.applies, rows)) for c in (SMALL, LOW_RATE))
    if not small or not low:
        return []
    lines = study.answers([SMALL, LOW_RATE], rows)
    keeps_alive = study.answer(SMALL, small), study.answer(LOW_RATE, low)
    if intervals.UNDECIDED in keeps_alive:
        return lines
    conclusion = {
        (True, True): 'either is enough: a small start, or a low rate of these layers',
        (True, False): 'it is the small start that keeps alive, and a scale is more '
        'than a lower rate',
        (False, True): 'it is the low rate of these layers that keeps alive, and a '
        'scale acts as a lower rate',
        (False, False): 'neither is enough alone, and a scale is more than a lower '
        'rate',
    }[tuple(answer == intervals.HOLDS for answer in keeps_alive)]
    return [*lines, f'* So {conclusion}.']


if __name__ == '__main__':
    sys.exit(study.run(sys.modules[__name__]))
