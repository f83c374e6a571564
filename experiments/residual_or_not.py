"""Section 5: do residual networks train faster than others of equal cost?

Claim     residual connections make training much faster. Figs. 21 to 26 compare
          Inception-ResNet-v1 with Inception-v3, and Inception-ResNet-v2 with
          Inception-v4; the networks of a pair cost about the same. In single runs
          Inception-ResNet-v1 needs 0.52 to 0.62 of the epochs to reach errors of 25 to
          22 %, and Inception-ResNet-v2 needs 0.82 to 0.93 to reach 25 to 20 %
Command   python experiments/residual_or_not.py --scale laptop
Cost      laptop: 80 minutes on 2 CPU cores, 12 runs of 1800 steps; gpu: 3.7e16 FLOPs, 2
          hours on one GPU at 5 TFLOP/s; paper: ImageNet, 1.3e20 FLOPs, 19 days on 8
          GPUs at 10 TFLOP/s each
Seeds     three for each network; a seed gives all networks the same images in the same
          order, so ratios are taken seed by seed
Writes    results/residual_or_not/SCALE/: table.csv, verdict.md, report.html, figures/;
          figures/pairs.png and .svg show our curves beside the paper's

Networks. At the scales laptop and gpu the networks of a pair have the same width. Their
depths are chosen so that their multiply-adds agree within 2 %. Inception-v3 has no
auxiliary head there. The scale paper uses the networks of the paper, with 5.7 and 6.2,
12.3 and 9.3 billion multiply-adds; Inception-v3 has its auxiliary head. All networks
share the recipe, its learning rate and the images. Evaluation uses the EMA weights.

Epochs to an error. A run reaches an error at the first epoch at which the straight line
between two evaluations falls to this error. The study compares the three lowest
multiples of 5 % that every run of a pair reaches between its first and its last
evaluation. If there are fewer than three, it uses multiples of 2 or 1 %. For the curves
of the paper it uses all whole percents from 25 down. `paper_curves.csv` is our reading
of the vector plots in Figs. 21 to 26, every two epochs, with an error of about 0.02.
"""

import csv
import itertools
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from experiments import intervals, study
from experiments.study import Row, Size, died, mean_and_range, spread
from inception_jax.commands.shared.cli import markdown_table

if TYPE_CHECKING:
    from inception_jax.lab.sweep_folder import Sweep

Curve = list[tuple[float, float]]  # Epochs, and top-1 errors in percent.

# Without residual connections, with them, and the figure of the paper with both.
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

SIZES = {
    'laptop': Size(
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
    ),
    'gpu': Size(
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
    ),
    'paper': Size(
        config='imagenet.py:inception_v3',
        changes={},
        grids=(
            'name=inception_v3,inception_resnet_v1;epochs=200.0;seed=0,1,2',
            'name=inception_v4,inception_resnet_v2;epochs=160.0;seed=0,1,2',
        ),
        cost='ImageNet, 1.3e20 FLOPs, 19 days on 8 GPUs at 10 TFLOP/s each',
    ),
}


def conclude(sweep: 'Sweep') -> str:
    """Draws our curves beside the paper's, and returns the verdict in Markdown."""
    from inception_jax.plots.paper_curves import draw_network_pairs

    rows = [
        row | measure_member(sweep, row['member']) for row in study.finished_rows(sweep)
    ]
    draw_network_pairs(panels(rows), sweep.folder / 'figures' / 'pairs')
    return f'{remarks(rows)}\n\n![Curves](figures/pairs.png)'


def remarks(rows: list[Row]) -> str:
    """Returns the answer for each pair, and the numbers behind it."""
    parts = [_answer(rows, *pair) for pair in PAIRS]
    return '\n\n'.join([*parts, _epochs_table(rows), _networks_table(rows)])


def epochs_to(error: float, curve: Curve) -> float | None:
    """Returns the epoch at which a curve first falls to an error."""
    for (before, above), (after, below) in itertools.pairwise(curve):
        if below <= error < above:
            return before + (after - before) * (above - error) / (above - below)
    return None


def shared_errors(curves: Iterable[Curve], step: int) -> list[int]:
    """Returns the multiples of `step` percent that all curves reach."""
    return [
        error
        for error in range(step, 100, step)
        if all(epochs_to(error, curve) is not None for curve in curves)
    ]


def _lowest_errors(curves: list[Curve], count: int = 3) -> list[int]:
    """Returns the lowest shared errors: `count` with the widest spacing, or fewer."""
    by_step = [shared_errors(curves, step)[:count] for step in (5, 2, 1)]
    return next((errors for errors in by_step if len(errors) == count), by_step[-1])


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
        for error in shared_errors((curves[plain], curves[residual]), step=1)
        if error <= 25
    }


def ratios(rows: list[Row], plain: str, residual: str) -> dict[int, list[float]]:
    """Returns the ratios of epochs of all seeds, by error."""
    plain_runs, residual_runs = _curves(rows, plain), _curves(rows, residual)
    seeds = sorted(plain_runs.keys() & residual_runs.keys())
    curves = [*plain_runs.values(), *residual_runs.values()]
    return {
        error: [
            epochs_to(error, residual_runs[seed]) / epochs_to(error, plain_runs[seed])
            for seed in seeds
        ]
        for error in (_lowest_errors(curves) if seeds else [])
    }


def panels(rows: list[Row]) -> dict[str, dict[str, list[Curve]]]:
    """Returns the curves for a figure, by the title of a panel and by network."""
    curves, paper = {}, paper_curves()
    for *pair, figure in PAIRS:
        name = NAMES[pair[1]]
        curves[f'{name}, here'] = {
            NAMES[network]: list(_curves(rows, network).values()) for network in pair
        }
        curves[f'{name}, in the paper ({figure})'] = {
            NAMES[network]: [paper[network]] for network in pair
        }
    return curves


def measure_member(sweep: 'Sweep', member: str) -> Row:
    """Returns the cost, the speed and the evaluation errors of a member."""
    from inception_jax.config.experiment import experiment
    from inception_jax.networks.shapes import measure
    from inception_jax.runs.records import read_records

    network = experiment(sweep.config_of(member)).network
    records = read_records(sweep.workdir(member))
    evaluations = [r for r in records if r['split'] == 'evaluation']
    rates = [r['images_per_second'] for r in records if 'images_per_second' in r]
    return {
        'macs': sum(block.total('macs') for block in measure(network)),
        'images_per_second': mean(rates) if rates else None,
        'curve': [(r['epoch'], r['top_1_error']) for r in evaluations],
    }


def _curves(rows: list[Row], network: str) -> dict[int, Curve]:
    """Returns the curves of a network's runs that did not die, by seed."""
    return {r['seed']: r['curve'] for r in rows if r['name'] == network and not died(r)}


def _answer(rows: list[Row], plain: str, residual: str, figure: str) -> str:
    by_error = ratios(rows, plain, residual)
    # A number for each seed: the mean over errors of the logarithm of its ratios.
    logs = [mean(map(math.log, seed)) for seed in zip(*by_error.values(), strict=True)]
    word, interval = 'no answer here: runs of both reach no common error', ''
    if logs:
        ratio = intervals.mean_difference(logs)
        word = intervals.answer(holds=ratio.high < 0, fails=ratio.low > 0)
        interval = intervals.Interval(*map(math.exp, ratio)).text(2)
    here = '; '.join(
        f'{mean_and_range(by_seed, 2)} to {error} %'
        for error, by_seed in by_error.items()
    )
    paper = paper_ratios(plain, residual)
    lost = sum(died(row) for row in rows if row['name'] in (plain, residual))
    return (
        f'* {NAMES[residual]} trains faster than {NAMES[plain]}: **{word}**. '
        f'Ratio of epochs, geometric mean over seeds and errors with its interval: '
        f'{interval or "unknown"}; mean and range of seeds: {here or "unknown"}; in '
        f'the paper ({figure}) {min(paper.values()):.2f} to '
        f'{max(paper.values()):.2f} for errors of {max(paper)} to {min(paper)} %.'
        + (f' Left out because they died: {lost}.' if lost else '')
    )


def _epochs_table(rows: list[Row]) -> str:
    lines = []
    for *pair, _ in PAIRS:
        for error, by_seed in ratios(rows, *pair).items():
            epochs = [
                mean_and_range([epochs_to(error, curve) for curve in runs.values()], 2)
                for runs in (_curves(rows, network) for network in pair)
            ]
            seeds = ', '.join(f'{ratio:.2f}' for ratio in by_seed)
            names = [NAMES[network] for network in pair]
            lines.append((*names, f'{error} %', *epochs, seeds))
    columns = ('without', 'with', 'error', 'epochs without', 'epochs with')
    return markdown_table((*columns, 'ratio by seed'), lines)


def _networks_table(rows: list[Row]) -> str:
    lines = []
    for network, name in NAMES.items():
        runs = [row for row in rows if row['name'] == network]
        if runs:
            macs = f'{runs[0]["macs"] / 1e6:.2f}'
            rate, error = spread(runs, 'images_per_second'), spread(runs, 'top_1_error')
            lines.append((name, macs, len(runs), rate, error))
    columns = ('network', 'million multiply-adds', 'runs', 'images/s')
    return markdown_table((*columns, 'top-1 error at the end, %'), lines)


if __name__ == '__main__':
    sys.exit(study.run(sys.modules[__name__]))
