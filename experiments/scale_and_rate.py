"""Section 3.3: is a residual scale anything but a smaller effective learning rate?

Claim     a lower rate does not do what a scale of 0.1 to 0.3 does (section 3.3: it did
          not keep wide networks alive, and scaling never harmed the end)
Command   python experiments/scale_and_rate.py --scale laptop
Cost      laptop: 45 minutes on 2 CPU cores, 28 runs of 200 steps; gpu: 4.3e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 2.0e19 FLOPs, 3 days on 8 GPUs
          at 10 TFLOP/s each
Seeds     two for each pair of scale and rate, and for each control
Writes    results/scale_and_rate/SCALE/: table.csv, verdict.md, report.html, figures/

What matched rates are. In relu(x + s F(x)) the scale s meets one layer, the linear 1x1
W at the end of F: what the network computes depends on V = s W. A step of gradient
descent at rate r moves V by s^2 r dLoss/dV, so a scale s is the scale 1 with that layer
started s times smaller and trained at s^2 r. All other layers, those before W as well,
see V alone: to them s is nothing. So no rate of the whole network is the match of a
scale; the nearest are s^2 r, and s r where an optimizer divides by the size of
gradients. RMSProp with its epsilon of 1.0 hardly does.

So beside the grid of scales and rates there are two controls that take the scale apart.
Each computes at its start what one of the grid's corners does:
  SMALL_START, scale 1    V starts as at scale 0.1, and moves at the full rate r
  LARGE_START, scale 0.1  V starts as at scale 1, and moves at r / 100
"""

import dataclasses
import sys
from itertools import groupby
from operator import itemgetter
from statistics import mean

from experiments import study
from experiments.study import Row, Size, learned, lives, remark, spread, verdicts
from inception_jax.commands.shared.cli import markdown_table
from inception_jax.lab.sweep_folder import Sweep
from inception_jax.networks.network import Network, map_network
from inception_jax.networks.ops import Conv, Op
from inception_jax.networks.paper import INCEPTION_RESNET_V2

RATE = 0.045
RATES = (RATE, 0.0135, 0.0045, 0.00045)
# By scale s: the rates of the grid that are nearest to s r and s^2 r.
MATCHED = {0.1: (0.0045, 0.00045), 0.3: (0.0135, 0.0045)}
ERROR = 'train_top_1_error'
STDDEV = 0.1  # That of the initialiser truncated_normal.


def started(network: Network, name: str, stddev: float) -> Network:
    """Returns a network whose linear 1x1 start with another standard deviation."""

    def change(op: Op) -> Op:
        linear = isinstance(op, Conv) and op.linear
        return dataclasses.replace(op, stddev=stddev) if linear else op

    return dataclasses.replace(map_network(change, network), name=name)


SMALL_START = started(INCEPTION_RESNET_V2, 'small_start', 0.1 * STDDEV)
LARGE_START = started(INCEPTION_RESNET_V2, 'large_start', 10 * STDDEV)
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


LAPTOP = Size(
    config='stability.py',
    changes={
        'network.width.reduction_b': 1.0,
        'data.evaluation_split': 'test[:1000]',
        'run.epochs': 0.128,
        'run.log_every_steps': 50,
    },
    grids=grids('0,1'),
    cost='45 minutes on 2 CPU cores',
)

GPU = Size(
    config='stability.py',
    changes={
        'network.width': 1.0,
        'network.depth': 1.0,
        'run.epochs': 10.24,
        'run.batch_size': 128,
        'run.log_every_steps': 100,
        'run.diagnose_every_steps': 50,
    },
    grids=grids('0,1,2'),
    cost='4.3e16 FLOPs, 2 hours on one GPU at 5 TFLOP/s',
)

PAPER = Size(
    config='imagenet_inception_resnet_v2.py',
    changes={
        'run.epochs': 10.0,
        'recipe.clip': False,
        'recipe.initializer': 'truncated_normal',
    },
    grids=grids('0,1'),
    cost='ImageNet, 2.0e19 FLOPs, 3 days on 8 GPUs at 10 TFLOP/s each',
)


def conclude(sweep: Sweep) -> str:
    return remarks(study.rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns whether a lower rate does what a scale does, and what in it does."""
    slow = [r for r in _grid(rows, 1.0) if r['learning_rate'] < RATE]
    parts = [
        *_said('A lower rate keeps scale 1 alive', slow),
        _at_best(rows),
        *(_matched(rows, scale) for scale in MATCHED),
        *_parts(rows),
    ]
    return '\n'.join([*parts, '', _table(rows)])


def _said(claim: str, rows: list[Row]) -> list[str]:
    """Returns a claim of life with its answer, or nothing where no row tells it."""
    return [remark(claim, all(map(lives, rows)), rows)] if rows else []


def _grid(rows: list[Row], scale: float, rate: float | None = None) -> list[Row]:
    """Returns the rows of a scale and a rate, or of all rates; no controls."""
    return [
        row
        for row in rows
        if row['name'] not in CONTROLS.values()
        and row['residual_scale'] == scale
        and rate in (None, row['learning_rate'])
    ]


def _errors(rows: list[Row]) -> list[float]:
    return [row[ERROR] for row in rows if row[ERROR] is not None]


def _at_best(rows: list[Row]) -> str:
    """Says whether scale 1 at its best rate does as well as scale 0.1 at its own."""
    claim = '* A lower rate at scale 1 gives what scale 0.1 gives'
    one, tenth = _best(rows, 1.0), _best(rows, 0.1)
    if not tenth:
        return f'{claim}: no answer here, for scale 0.1 lives and learns at no rate.'
    if not one:
        return f'{claim}: **does not hold here**: scale 1 lives and learns at no rate.'
    same = min(_errors(one)) <= max(_errors(tenth))
    told = ' and '.join(
        f'{spread(cell, ERROR)} % at scale {cell[0]["residual_scale"]:g} (rate '
        f'{cell[0]["learning_rate"]:g}, {spread(cell, "dead_channels", 100)} % of '
        'channels silent)'
        for cell in (one, tenth)
    )
    return (
        f'{claim}: **{"holds" if same else "does not hold"} here**. Each at its best '
        f'rate, the training error after equal steps is {told}.'
    )


def _best(rows: list[Row], scale: float) -> list[Row]:
    """Returns the rows of the rate at which a scale lives, learns and is best."""
    cells = [_grid(rows, scale, rate) for rate in RATES]
    alive = [
        cell
        for cell in cells
        if all(lives(row) and learned(row) for row in cell) and _errors(cell)
    ]
    return min(alive, key=lambda cell: mean(_errors(cell)), default=[])


def _matched(rows: list[Row], scale: float) -> str:
    told = '; '.join(
        f'scale 1 at {rate:g} ({name}): {spread(_grid(rows, 1.0, rate), ERROR)} %'
        for name, rate in zip(('s r', 's^2 r'), MATCHED[scale], strict=True)
    )
    scaled = spread(_grid(rows, scale, RATE), ERROR)
    return (
        f'* Matched rates, training error: scale {scale:g} at {RATE:g}: {scaled} %; '
        f'{told}.'
    )


def _parts(rows: list[Row]) -> list[str]:
    """Returns what the small start does alone, and the low rate of the last layers."""
    small, large = (
        [row for row in rows if row['name'] == CONTROLS[name]] for name in CONTROLS
    )
    if not small or not large:
        return []
    alone = {
        (True, True): 'either is enough: a small start, or a low rate of these layers',
        (True, False): 'it is the small start that keeps alive, and a scale is more '
        'than a lower rate',
        (False, True): 'it is the low rate of these layers that keeps alive, and a '
        'scale acts as that',
        (False, False): 'neither is enough alone, and a scale is more than a lower '
        'rate',
    }[all(map(lives, small)), all(map(lives, large))]
    won = {
        (True, True): 'with either alone',
        (True, False): 'with the small start alone',
        (False, True): 'with the low rate alone',
        (False, False): 'with neither alone',
    }[all(map(learned, small)), all(map(learned, large))]
    return [
        *_said('The small start of scale 0.1, at the full rate, keeps alive', small),
        *_said(
            'The low rate of the last layers of scale 0.1, from the full start, keeps '
            'alive',
            large,
        ),
        f'* So {alone}. In as many steps more than a guess is learned {won}.',
    ]


def _table(rows: list[Row]) -> str:
    """Returns a table of starts, scales and rates, over seeds."""
    names = {path: name for name, path in CONTROLS.items()}
    key = itemgetter('name', 'residual_scale', 'learning_rate')
    lines = []
    for (name, scale, rate), group in groupby(sorted(rows, key=key), key=key):
        same = list(group)
        start = names.get(name, 'usual')
        silent, error = spread(same, 'dead_channels', 100), spread(same, ERROR)
        lines.append((start, f'{scale:g}', f'{rate:g}', verdicts(same), silent, error))
    columns = ('start', 'scale', 'rate', 'verdicts', 'silent channels, %')
    return markdown_table((*columns, 'training error, %'), lines)


if __name__ == '__main__':
    sizes = {'laptop': LAPTOP, 'gpu': GPU, 'paper': PAPER}
    sys.exit(study.run(sys.modules[__name__], sizes, conclude))
