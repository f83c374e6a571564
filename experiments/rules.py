"""After section 3.3: which rules keep wide residual networks alive, and learning?

Claim     scaling by a constant of 0.1 to 0.3 keeps alive what a constant of 1 kills.
          Later work has other rules that start a branch small: a learned scale from 0
          (SkipInit, ReZero) or small and per channel (LayerScale), a last layer that
          starts at 0, 1 / sqrt(blocks), a variance that is tracked (normalizer-free)
Command   python experiments/rules.py --scale laptop
Cost      laptop: 45 minutes on 2 CPU cores, 27 runs of 200 steps; gpu: 5.5e16 FLOPs, 3
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 1.9e19 FLOPs, 3 days on 8 GPUs
          at 10 TFLOP/s each
Seeds     two for each rule with He's initialiser, which normalizer_free assumes, and
          one with the truncated normal of configs/stability.py; gpu: three of each
Writes    results/rules/SCALE/: table.csv, verdict.md, report.html, figures/

Errors are those of the training images over the last 50 steps (laptop), 100 (gpu) or 50
(paper). On the laptop no image of CIFAR-10 is seen twice, so they are errors on new
images.

A rule changes what multiplies the linear 1x1 at the end of a branch, or its start, and
nothing else. `constant` has the released 0.17, 0.10 and 0.20 of the stages A, B and C;
`layer_scale` starts at 0.1 in a network of up to 18 sums, as in the small one of 8, and
at 1e-5 in the full one of 20; `inverse_sqrt` is 1, 0.71 and 0.45 in the small one.

What the literature leads one to expect: with batch norm in the branches trouble comes
from how much a branch adds at the start (2002.10444), so whatever starts small lives,
a start at 0 costs nothing, and with few blocks little is between the rules that live;
without sums (`non_residual`) a network of this depth trains too.
"""

import sys
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from statistics import mean

from experiments import study
from experiments.study import Row, Size, lives, remark, spread, verdicts
from inception_jax.commands.shared.cli import markdown_table
from inception_jax.lab.sweep_folder import Sweep
from inception_jax.networks.rules import RULES

ERROR = 'train_top_1_error'
UNSCALED = 'constant 1'

# Rules that begin with a third of a branch, or less.
SMALL = (
    'constant',
    'skip_init',
    'learned_scale',
    'layer_scale',
    'zero_init',
    'normalizer_free',
)


def grids(initializer: str, seeds: str) -> tuple[str, ...]:
    """Returns all rules, and the constant 1, at one initialiser."""
    start = f'initializer={initializer};seed={seeds}'
    return (
        f'rule=constant;residual_scale=1.0;{start}',
        f'rule={",".join(RULES)};{start}',
    )


LAPTOP = Size(
    config='stability.py',
    changes={
        'network.width.reduction_b': 1.0,
        'data.evaluation_split': 'test[:1000]',
        'run.epochs': 0.128,
        'run.log_every_steps': 50,
    },
    grids=(*grids('he', '0,1'), *grids('truncated_normal', '0')),
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
    grids=(*grids('he', '0,1,2'), *grids('truncated_normal', '0,1,2')),
    cost='5.5e16 FLOPs, 3 hours on one GPU at 5 TFLOP/s',
)

PAPER = Size(
    config='imagenet_inception_resnet_v2.py',
    changes={'run.epochs': 10.0, 'recipe.clip': False},
    grids=(*grids('he', '0,1'), *grids('truncated_normal', '0')),
    cost='ImageNet, 1.9e19 FLOPs, 3 days on 8 GPUs at 10 TFLOP/s each',
)


def conclude(sweep: Sweep) -> str:
    return remarks(study.rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns for each initialiser which rules live and which learn fastest."""
    rows = sorted(rows, key=itemgetter('initializer'))
    parts = []
    for initializer, group in groupby(rows, key=itemgetter('initializer')):
        by_rule = _by_rule(group)
        lines = [*_said(by_rule), _fastest(by_rule), '', _table(by_rule)]
        parts.append('\n'.join([f'## Initialiser {initializer}', '', *lines]))
    return '\n\n'.join(parts)


def _by_rule(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Returns the rows of each rule, those that learned most first."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        unscaled = row['residual_scale'] == 1
        found.setdefault(UNSCALED if unscaled else row['rule'], []).append(row)
    return dict(sorted(found.items(), key=lambda item: _mean_error(item[1])))


def _errors(rows: list[Row]) -> list[float]:
    return [row[ERROR] for row in rows if row[ERROR] is not None]


def _mean_error(rows: list[Row]) -> float:
    return mean(_errors(rows) or [100.0])


def _said(by_rule: dict[str, list[Row]]) -> list[str]:
    def of(*rules: str) -> list[Row]:
        return [row for rule in rules for row in by_rule.get(rule, [])]

    one, own, small = of(UNSCALED), of('constant'), of(*SMALL)
    without = of('non_residual')
    said = (
        ('The constant 1 does not keep alive', not any(map(lives, one)), one),
        ('Constants of 0.1 to 0.2 keep alive', all(map(lives, own)), own),
        ('All rules that start small keep alive', all(map(lives, small)), small),
        ('The network without sums lives', all(map(lives, without)), without),
    )
    return [remark(*each) for each in said if each[2]]


def _fastest(by_rule: dict[str, list[Row]]) -> str:
    """Says which rule learned most, and which cannot be told from it by their seeds."""
    alive = {
        rule: rows
        for rule, rows in by_rule.items()
        if all(map(lives, rows)) and _errors(rows)
    }
    if not alive:
        return '* No rule keeps all of its runs alive.'
    best, *others = alive
    bound = max(_errors(alive[best]))
    equal = [rule for rule in others if min(_errors(alive[rule])) <= bound]
    slower = [rule for rule in others if rule not in equal]
    told = f'* Of the rules that keep all alive {best} has the least training error'
    if equal:
        told += f'; within the range of its seeds: {", ".join(equal)}'
    if slower:
        told += f'; behind: {", ".join(slower)}'
    return f'{told}.'


def _table(by_rule: dict[str, list[Row]]) -> str:
    lines = [
        (
            rule,
            len(rows),
            verdicts(rows),
            spread(rows, 'dead_channels', 100),
            spread(rows, ERROR),
        )
        for rule, rows in by_rule.items()
    ]
    columns = ('rule', 'seeds', 'verdicts', 'silent channels, %', 'training error, %')
    return markdown_table(columns, lines)


if __name__ == '__main__':
    sizes = {'laptop': LAPTOP, 'gpu': GPU, 'paper': PAPER}
    sys.exit(study.run(sys.modules[__name__], sizes, conclude))
