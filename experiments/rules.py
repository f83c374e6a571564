"""Beyond section 3.3: which residual rules keep wide networks alive and learning?

Claim     networks die with a residual scale of 1 and live with a constant scale of 0.1
          to 0.3. Later work proposes other rules with a small branch at the start: a
          learned scale from 0 (SkipInit, ReZero), a small scale for each channel
          (LayerScale), a last layer that starts at 0, 1 / sqrt(blocks), and a tracked
          variance (normalizer-free)
Command   python experiments/rules.py --scale laptop
Cost      laptop: 45 minutes on 2 CPU cores, 27 runs of 200 steps; gpu: 5.5e16 FLOPs, 3
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 1.9e19 FLOPs, 3 days on 8 GPUs
          at 10 TFLOP/s each
Seeds     two for each rule with He's initialiser, which normalizer_free assumes, and
          one with the truncated normal of configs/stability.py; gpu: three of each
Writes    results/rules/SCALE/: table.csv, verdict.md, report.html, figures/

Errors are measured on the training images of the last 50 steps (laptop and paper) or
100 steps (gpu). On the laptop no image of CIFAR-10 is used twice, so these images are
new to the network.

A rule changes the factor of the linear 1x1 at the end of a branch, or the initial
weights of this layer, and nothing else. `constant` uses the released scales 0.17, 0.10
and 0.20 for the stages A, B and C. `layer_scale` starts at 0.1 in a network of up to 18
sums, for example the small network with 8, and at 1e-5 in the full network with 20.
`inverse_sqrt` is 1, 0.71 and 0.45 in the three stages of the small network.

Expectation from the literature: if the branches have batch norm, the problem is the
size of a branch at the start (arXiv:2002.10444). Then all rules that start small live,
a start at 0 costs nothing, and with few blocks the rules that live differ little. A
network of this depth also trains without sums (`non_residual`).
"""

import sys
from collections.abc import Iterable
from itertools import groupby
from operator import itemgetter
from statistics import mean
from typing import TYPE_CHECKING

from experiments import intervals, study
from experiments.study import Claim, Row, Size, errors, lives, never
from inception_jax.networks.rules import RULES

if TYPE_CHECKING:
    from inception_jax.lab.sweep_folder import Sweep

UNSCALED = 'constant 1'

# Rules with which a branch starts at a third of its size or less.
SMALL = {
    'constant',
    'skip_init',
    'learned_scale',
    'layer_scale',
    'zero_init',
    'normalizer_free',
}


def grids(initializer: str, seeds: str) -> tuple[str, ...]:
    """Returns all rules, and the constant 1, with one initialiser."""
    start = f'initializer={initializer};seed={seeds}'
    return (
        f'rule=constant;residual_scale=1.0;{start}',
        f'rule={",".join(RULES)};{start}',
    )


SIZES = {
    'laptop': Size(
        config='stability.py',
        changes=study.SMALL_NETWORK,
        grids=(*grids('he', '0,1'), *grids('truncated_normal', '0')),
        cost='45 minutes on 2 CPU cores',
    ),
    'gpu': Size(
        config='stability.py',
        changes=study.FULL_NETWORK,
        grids=(*grids('he', '0,1,2'), *grids('truncated_normal', '0,1,2')),
        cost='5.5e16 FLOPs, 3 hours on one GPU at 5 TFLOP/s',
    ),
    'paper': Size(
        config='imagenet.py:inception_resnet_v2',
        changes={'run.epochs': 10.0, 'recipe.clip': False},
        grids=(*grids('he', '0,1'), *grids('truncated_normal', '0')),
        cost='ImageNet, 1.9e19 FLOPs, 3 days on 8 GPUs at 10 TFLOP/s each',
    ),
}


def rule_of(row: Row) -> str:
    return UNSCALED if row['residual_scale'] == 1 else row['rule']


CLAIMS = (
    Claim(
        'The constant 1 does not keep alive',
        lambda row: rule_of(row) == UNSCALED,
        never(lives),
    ),
    Claim(
        'Constants of 0.1 to 0.2 keep alive',
        lambda row: rule_of(row) == 'constant',
        lives,
    ),
    Claim(
        'All rules that start small keep alive',
        lambda row: rule_of(row) in SMALL,
        lives,
    ),
    Claim(
        'The network without sums lives',
        lambda row: rule_of(row) == 'non_residual',
        lives,
    ),
)


def conclude(sweep: 'Sweep') -> str:
    return remarks(study.finished_rows(sweep))


def remarks(rows: list[Row]) -> str:
    """Returns for each initialiser which rules live and which learn fastest."""
    rows = sorted(rows, key=itemgetter('initializer'))
    parts = []
    for initializer, group in groupby(rows, key=itemgetter('initializer')):
        by_rule = _by_rule(group)
        rows = [row for same_rule in by_rule.values() for row in same_rule]
        lines = [*study.answers(CLAIMS, rows), _fastest(by_rule), '']
        table = study.results_table(rows, {'rule': rule_of})
        parts.append('\n'.join([f'## Initialiser {initializer}', '', *lines, table]))
    return '\n\n'.join(parts)


def _by_rule(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Returns the rows by rule; the rule with the least mean error is first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(rule_of(row), []).append(row)
    return dict(sorted(groups.items(), key=lambda g: mean(errors(g[1]) or [100.0])))


def _fastest(by_rule: dict[str, list[Row]]) -> str:
    """Returns the rule of least error, and the rules that are certainly behind it.

    Runs of one seed make a pair. The intervals of all comparisons hold together.
    """
    alive = {
        rule: rows
        for rule, rows in by_rule.items()
        if all(map(lives, rows)) and errors(rows)
    }
    if not alive:
        return '* No rule keeps all of its runs alive.'
    best, *others = alive
    behind, undecided = [], []
    for rule in others:
        differences = study.paired_errors(alive[rule], alive[best], 'seed')
        gap = intervals.mean_difference(differences, comparisons=len(others))
        group = behind if gap.low > 0 else undecided
        group.append(f'{rule} {gap.text()}')
    sentence = f'* {best} has the least training error of the rules that keep all alive'
    if behind:
        sentence += f'; behind it, in points: {", ".join(behind)}'
    if undecided:
        sentence += (
            f'; {intervals.UNDECIDED} whether these are behind it: '
            f'{", ".join(undecided)}'
        )
    return f'{sentence}.'


if __name__ == '__main__':
    sys.exit(study.run(sys.modules[__name__]))
