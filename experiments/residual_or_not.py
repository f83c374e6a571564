"""Section 5: do residual networks train faster than others of equal cost?

Claim     residual connections make training much faster: Inception-ResNet-v1 beside
          Inception-v3, and Inception-ResNet-v2 beside Inception-v4, each of about the
          other's cost (Figs. 21 to 26). The former needs 0.52 to 0.62 of the epochs to
          errors of 25 to 22 %, the latter 0.82 to 0.93 to 25 to 20 %, in single runs
Command   python experiments/residual_or_not.py --scale laptop
Cost      laptop: 80 minutes on 2 CPU cores, 12 runs of 1800 steps; gpu: 3.7e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 1.3e20 FLOPs, 19 days on 8
          GPUs at 10 TFLOP/s each
Seeds     three for each network; a seed gives all networks the same images in the same
          order, so that ratios are taken seed by seed
Writes    results/residual_or_not/SCALE/: table.csv, verdict.md, report.html, figures/,
          in it pairs.png and .svg: our curves beside the paper's

At the scales laptop and gpu the two networks of a pair have one width, and depths at
which their multiply-adds agree within 2 %; v3 goes without its auxiliary head. At the
scale paper they are the paper's own: 5.7 and 6.2, 12.3 and 9.3 billion, v3 with its
head. All share recipe and images; the parameters that are evaluated are averaged.

An error is reached where a straight line between two evaluations first comes down to
it. The errors asked for are the three lowest multiples of 5 % that every run of a pair
comes down to between its first evaluation and its last, or of 2 or 1 % where there are
fewer. Of the paper's curves they are
all whole percents from 25 down. `paper_curves.csv` is our reading of the vector plots
in Figs. 21 to 26, every two epochs, off by about 0.02.
"""

import csv
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

from experiments import study
from experiments.study import Row, Size, died, mean_and_range, spread
from inception_jax.commands.shared.cli import markdown_table
from inception_jax.lab.sweep_folder import Sweep

Curve = list[tuple[float, float]]  # Epochs, and top-1 errors in percent.

# Without residual connections, with them, and where the paper draws both.
PAIRS = (
    ('inception_v3', 'inception_resnet_v1', 'Fig. 21'),
    ('inception_v4', 'inception_resnet_v2', 'Fig. 23'),
)
NAMES = {
    'inception_v3': 'Inception-v3',
    'inception_resnet_v1': 'Inception-ResNet-v1',
    'inception_v4': 'Inception-v4',
    'inception_resnet_v2': 'Inception-ResNet-v2',
}
PAPER_CURVES = Path(__file__).parent / 'paper_curves.csv'


LAPTOP = Size(
    config='cifar10.py',
    changes={
        'network.auxiliary': False,
        'network.classes': 10,
        'hparams.decay_epochs': 0.0288,
        'hparams.ema_decay': 0.98,
        'recipe.batch_norm_decay': 0.95,
        'data.evaluation_split': 'test[:2000]',
        'run.epochs': 1.152,
        'run.evaluate_every_epochs': 0.0384,
        'run.checkpoint_every_epochs': 1.152,
        'run.diagnose_every_steps': 0,
    },
    grids=(
        'name=inception_v3;width=0.2;depth=0.65;seed=0,1,2',
        'name=inception_resnet_v1;width=0.2;depth=0.3;seed=0,1,2',
        'name=inception_v4;width=0.15;depth=0.25;seed=0,1,2',
        'name=inception_resnet_v2;width=0.15;depth=0.35;seed=0,1,2',
    ),
    cost='80 minutes on 2 CPU cores',
)

GPU = Size(
    config='cifar10.py',
    changes={
        'network.auxiliary': False,
        'network.classes': 10,
        'hparams.decay_epochs': 1.0,
        'run.epochs': 40.0,
        'run.batch_size': 128,
    },
    grids=(
        'name=inception_v3;width=1.0;depth=1.0;seed=0,1,2',
        'name=inception_resnet_v1;width=1.0;depth=0.75;seed=0,1,2',
        'name=inception_v4;width=1.0;depth=0.5;seed=0,1,2',
        'name=inception_resnet_v2;width=1.0;depth=0.9;seed=0,1,2',
    ),
    cost='3.7e16 FLOPs, 2 hours on one GPU at 5 TFLOP/s',
)

PAPER = Size(
    config='imagenet_inception_v3.py',
    changes={},
    grids=(
        'name=inception_v3,inception_resnet_v1;epochs=200.0;seed=0,1,2',
        'name=inception_v4,inception_resnet_v2;epochs=160.0;seed=0,1,2',
    ),
    cost='ImageNet, 1.3e20 FLOPs, 19 days on 8 GPUs at 10 TFLOP/s each',
)


def conclude(sweep: Sweep) -> str:
    """Draws our curves beside the paper's, and returns what they say."""
    from inception_jax.plots.paper_curves import draw_pairs

    rows = [row | measured(sweep, row['member']) for row in study.rows(sweep)]
    draw_pairs(panels(rows), sweep.folder / 'figures' / 'pairs')
    return f'{remarks(rows)}\n\n![Curves](figures/pairs.png)'


def remarks(rows: list[Row]) -> str:
    """Returns for each pair what its curves say, and the numbers behind it."""
    parts = [_verdict(rows, *pair) for pair in PAIRS]
    return '\n\n'.join([*parts, _epochs_table(rows), _networks_table(rows)])


def epochs_to(error: float, curve: Curve) -> float | None:
    """Returns the epoch at which a curve first comes down to an error."""
    for (before, above), (after, below) in itertools.pairwise(curve):
        if below <= error < above:
            return before + (after - before) * (above - error) / (above - below)
    return None


def errors(curves: Iterable[Curve], step: int) -> list[int]:
    """Returns the multiples of `step` percent that all curves come down to."""
    return [
        error
        for error in range(step, 100, step)
        if all(epochs_to(error, curve) is not None for curve in curves)
    ]


def _lowest_errors(curves: list[Curve], count: int = 3) -> list[int]:
    """Returns so many errors as far apart as can be, or as many as there are."""
    found = [errors(curves, step)[:count] for step in (5, 2, 1)]
    return next((one for one in found if len(one) == count), found[-1])


def paper_curves() -> dict[str, Curve]:
    """Returns the top-1 error of the paper's networks, by name."""
    with PAPER_CURVES.open(newline='') as file:
        rows = list(csv.DictReader(line for line in file if line[0] != '#'))
    return {
        name: [(float(r['epoch']), float(r[name])) for r in rows if r[name]]
        for name in NAMES
    }


def paper_ratios(plain: str, residual: str) -> dict[int, float]:
    """Returns the ratios of epochs in the paper's figures, by error."""
    curves = paper_curves()
    return {
        error: epochs_to(error, curves[residual]) / epochs_to(error, curves[plain])
        for error in errors((curves[plain], curves[residual]), step=1)
        if error <= 25
    }


def ratios(rows: list[Row], plain: str, residual: str) -> dict[int, list[float]]:
    """Returns the ratios of epochs of all seeds, by error."""
    runs, others = _curves(rows, plain), _curves(rows, residual)
    seeds = sorted(runs.keys() & others.keys())
    shared = _lowest_errors([*runs.values(), *others.values()]) if seeds else []
    return {
        error: [epochs_to(error, others[s]) / epochs_to(error, runs[s]) for s in seeds]
        for error in shared
    }


def panels(rows: list[Row]) -> dict[str, dict[str, list[Curve]]]:
    """Returns what is drawn: curves by title and by network."""
    found, paper = {}, paper_curves()
    for plain, residual, figure in PAIRS:
        two = (plain, residual)
        found[f'{NAMES[residual]}, here'] = {
            NAMES[name]: list(_curves(rows, name).values()) for name in two
        }
        found[f'{NAMES[residual]}, in the paper ({figure})'] = {
            NAMES[name]: [paper[name]] for name in two
        }
    return found


def measured(sweep: Sweep, member: str) -> Row:
    """Returns what is known of a member beside its row."""
    from inception_jax.config.experiment import experiment
    from inception_jax.networks.shapes import measure
    from inception_jax.runs.records import read_records

    network = experiment(sweep.config_of(member)).network
    records = read_records(sweep.workdir(member))
    evaluated = [r for r in records if r['split'] == 'evaluation']
    rates = [r['images_per_second'] for r in records if 'images_per_second' in r]
    return {
        'macs': sum(block.total('macs') for block in measure(network)),
        'images_per_second': mean(rates) if rates else None,
        'curve': [(r['epoch'], r['top_1_error']) for r in evaluated],
    }


def _curves(rows: list[Row], name: str) -> dict[int, Curve]:
    """Returns the curves of a network's runs that lived, by seed."""
    return {r['seed']: r['curve'] for r in rows if r['name'] == name and not died(r)}


def _verdict(rows: list[Row], plain: str, residual: str, figure: str) -> str:
    by_error = ratios(rows, plain, residual)
    every = [ratio for of_seeds in by_error.values() for ratio in of_seeds]
    if not every:
        word = 'no answer here: there is no error that runs of both come down to'
    elif max(every) < 1:
        word = 'holds here'
    elif min(every) >= 1:
        word = 'does not hold here'
    else:
        word = 'undecided here: ratios lie on both sides of 1'
    told = '; '.join(
        f'{mean_and_range(of_seeds, 2)} to {error} %'
        for error, of_seeds in by_error.items()
    )
    paper = paper_ratios(plain, residual)
    lost = sum(died(row) for row in rows if row['name'] in (plain, residual))
    return (
        f'* {NAMES[residual]} trains faster than {NAMES[plain]}: **{word}**. '
        f'Ratio of epochs, mean and range of seeds: {told or "unknown"}; in the '
        f'paper ({figure}) {min(paper.values()):.2f} to {max(paper.values()):.2f} for '
        f'errors of {max(paper)} to {min(paper)} %.'
        + (f' Left out, for they died: {lost}.' if lost else '')
    )


def _epochs_table(rows: list[Row]) -> str:
    lines = []
    for plain, residual, _ in PAIRS:
        for error, of_seeds in ratios(rows, plain, residual).items():
            two = [
                mean_and_range([epochs_to(error, c) for c in runs.values()], 2)
                for runs in (_curves(rows, plain), _curves(rows, residual))
            ]
            by_seed = ', '.join(f'{ratio:.2f}' for ratio in of_seeds)
            lines.append((NAMES[plain], NAMES[residual], f'{error} %', *two, by_seed))
    columns = ('without', 'with', 'error', 'epochs without', 'epochs with')
    return markdown_table((*columns, 'ratio by seed'), lines)


def _networks_table(rows: list[Row]) -> str:
    lines = []
    for name in NAMES:
        runs = [row for row in rows if row['name'] == name]
        if runs:
            macs = f'{runs[0]["macs"] / 1e6:.2f}'
            rate, error = spread(runs, 'images_per_second'), spread(runs, 'top_1_error')
            lines.append((NAMES[name], macs, len(runs), rate, error))
    columns = ('network', 'million multiply-adds', 'runs', 'images/s')
    return markdown_table((*columns, 'top-1 error at the end, %'), lines)


if __name__ == '__main__':
    sizes = {'laptop': LAPTOP, 'gpu': GPU, 'paper': PAPER}
    sys.exit(study.run(sys.modules[__name__], sizes, conclude))
