"""The command of a study: a sweep that tests claims of the paper.

A study is a file of `experiments/` with three names: `SIZES` holds the grids, `CLAIMS`
the claims, and `conclude` returns the verdict. `run` trains the members, writes the
verdict and the report. Run a study in a clone of the repository, by
`python -m experiments.NAME`, or by `python experiments/NAME.py` after an editable
install.
"""

import argparse
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from experiments import intervals
from inception_jax.commands.shared.cli import (
    Parser,
    add_engine_and_shard,
    markdown_table,
    print_now,
    run_command,
)
from inception_jax.config.files import load_config
from inception_jax.config.overrides import flatten, override
from inception_jax.lab.grid import name_members, parse_grid, parse_shard
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_text
from inception_jax.stability.verdicts import LOST, verdict_counts

if TYPE_CHECKING:
    from inception_jax.lab.sweep import SweepSummary
    from inception_jax.lab.sweep_folder import Sweep

CONFIGS = Path(__file__).parent.parent / 'configs'

# Digits replace CIFAR-10 where it is not available. A mirrored digit is a different
# sign.
DIGITS = {
    'data.source': 'digits',
    'data.train_split': 'train',
    'data.evaluation_split': 'test',
    'data.area': [0.6, 1.0],
    'recipe.flip': False,
}
# One epoch of CIFAR-10 has as many steps as this many epochs of the digits.
DIGITS_EPOCHS = 50_000 / 1438

# Changes to configs/stability.py: the small network with a wide last stage for 200
# steps, and the full network for 4000 steps.
SMALL_NETWORK = {
    'network.width.reduction_b': 1.0,
    'data.evaluation_split': 'test[:1000]',
    'run.epochs': 0.128,
    'run.log_every_steps': 50,
}
FULL_NETWORK = {
    'network.width': 1.0,
    'network.depth': 1.0,
    'run.epochs': 10.24,
    'run.batch_size': 128,
    'run.log_every_steps': 100,
    'run.diagnose_every_steps': 50,
}

ERROR = 'train_top_1_error'

# A difference of training errors below this many points counts as no harm.
HARM_POINTS = 1.0

# A run has learned something if its loss is this many nats below ln(classes), or its
# error this many points below the error of a guess. A few very wrong answers can make
# the loss large.
LEARNED_NATS, LEARNED_POINTS = 0.1, 5.0

Row = dict[str, Any]


class Size(NamedTuple):
    """A size of a study: a config file, changes to it, grids, and their cost."""

    config: str
    changes: Mapping[str, Any]
    grids: Sequence[str]
    cost: str


class Claim(NamedTuple):
    """A claim about most runs, the rows of the table that decide it, and its test.

    The claim holds if more than half of such runs pass the test `shows`.
    """

    statement: str
    applies: Callable[[Row], bool]
    shows: Callable[[Row], bool]


def run(module: ModuleType, arguments: list[str] | None = None) -> int:
    """Runs the command of the study in a module, and returns the exit status.

    The output folder gets the sweep, table.csv, verdict.md and report.html with its
    figures.
    """
    options = _parse_options(module, arguments)
    # For members whose network is named by its path, as experiments.FILE:NAME.
    sys.path.append(str(CONFIGS.parent))
    return run_command(f'{options.name}.py', lambda: _prepare(module, options))


def _parse_options(
    module: ModuleType, arguments: list[str] | None
) -> argparse.Namespace:
    name = Path(module.__file__).stem
    parser = Parser(
        prog=f'{name}.py',
        allow_abbrev=False,
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    costs = '; '.join(f'{scale}: {size.cost}' for scale, size in module.SIZES.items())
    parser.add_argument('--scale', choices=module.SIZES, required=True, help=costs)
    parser.add_argument(
        '--output', type=Path, metavar='DIR', help='default: results/NAME/SCALE'
    )
    parser.add_argument(
        '--source', help='other images than CIFAR-10, for example digits'
    )
    add_engine_and_shard(parser)
    options = parser.parse_args(arguments)
    options.name = name
    options.output = options.output or Path('results') / name / options.scale
    return options


def _prepare(module: ModuleType, options: argparse.Namespace) -> Callable[[], int]:
    shard = parse_shard(options.shard)
    planned = plan(module.SIZES[options.scale], options.output, options.source)
    from inception_jax.lab.sweep import start_sweep

    train = start_sweep(planned, options.engine, shard, say=print_now)
    return lambda: _train_and_conclude(module, planned, train)


def plan(size: Size, folder: Path, source: str | None = None) -> 'Sweep':
    """Returns the sweep of a study.

    Args:
      size: the config and the grids.
      folder: the folder of the sweep.
      source: images to use in place of the config's, e.g. `digits`.

    Raises:
      ValueError: a config, field or source does not exist, digits would replace
        ImageNet, or the folder holds another sweep.
    """
    if not CONFIGS.is_dir():
        raise ValueError(
            f'{CONFIGS} does not exist; studies need the configs of the repository: '
            'run them in a clone'
        )
    base = load_config(CONFIGS / size.config, **size.changes)
    changes = [c for grid in size.grids for c in parse_grid(base, grid)]
    source = source or _available_source(base)
    if source == 'digits':
        if base['data']['source'] != 'tfds:cifar10':
            raise ValueError(
                f'digits can replace CIFAR-10, but not {base["data"]["source"]}; use '
                'another --scale'
            )
        base = override(base, _epochs_of_digits(flatten(base)) | DIGITS)
        changes = map(_epochs_of_digits, changes)
    else:
        base = override(base, {'data.source': source})
    from inception_jax.lab.sweep_folder import open_sweep

    return open_sweep(folder, base, name_members(changes))


def _available_source(base: dict) -> str:
    """Returns the source of a config, or digits if CIFAR-10 is missing."""
    from inception_jax.data.sources.open import open_source

    data = base['data']
    try:
        open_source(data['source'], data['train_split'], data_dir=data['data_dir'])
    except ValueError as error:
        if data['source'] != 'tfds:cifar10':
            raise
        print(f'{error}\nusing handwritten digits instead', file=sys.stderr)
        return 'digits'
    return data['source']


def _epochs_of_digits(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields with epochs of digits that have the steps of CIFAR-10."""
    return {
        field: value * DIGITS_EPOCHS if field.endswith('epochs') else value
        for field, value in fields.items()
    }


def _train_and_conclude(
    module: ModuleType, planned: 'Sweep', train: Callable[[], 'SweepSummary']
) -> int:
    from inception_jax.reports import report

    # The verdict of an earlier call does not include the new members.
    (planned.folder / 'verdict.md').unlink(missing_ok=True)
    summary = train()
    if summary.signal:
        return summary.exit_status
    verdicts = Counter(row['verdict'] for row in planned.table())
    if left := verdicts['unfinished']:
        print(
            f'unfinished members of other parts: {left}; run this again when they are '
            'done'
        )
        return summary.exit_status
    head = _head(module, planned, verdicts['failed'])
    verdict = f'{head}\n\n{module.conclude(planned)}\n'
    write_text(planned.folder / 'verdict.md', verdict)
    print(f'\n{verdict}')
    print(report.report(planned.folder))
    return summary.exit_status


def _head(module: ModuleType, planned: 'Sweep', failed: int) -> str:
    title = inspect.getdoc(module).splitlines()[0]
    source = planned.config['data']['source']
    without = f', without the {failed} that failed' if failed else ''
    return (
        f'# {title}\n\n{counted(len(planned.members), "member")} on {source}{without}.'
    )


def finished_rows(sweep: 'Sweep') -> list[Row]:
    """Returns the rows of the members that did not fail."""
    return [row for row in sweep.table() if row['verdict'] != 'failed']


def lives(row: Row) -> bool:
    return row['verdict'] == 'alive'


def died(row: Row) -> bool:
    """Returns whether a run died or diverged; a dying run is neither dead nor alive."""
    return row['verdict'] in LOST


def learned(row: Row) -> bool:
    """Returns whether a run that did not die is better than a guess."""
    nats = row['nats_learned']
    if died(row) or nats is None:
        return False
    guess = 100.0 * (1.0 - math.exp(-nats - row['train_cross_entropy']))
    return nats > LEARNED_NATS or guess - row[ERROR] > LEARNED_POINTS


def never(test: Callable[[Row], bool]) -> Callable[[Row], bool]:
    return lambda row: not test(row)


def answers(claims: Iterable[Claim], rows: Sequence[Row]) -> list[str]:
    """Returns a line for each claim that applies to any row."""
    lines = []
    for claim in claims:
        applying = [row for row in rows if claim.applies(row)]
        if applying:
            lines.append(_answer_line(claim, applying))
    return lines


def answer(claim: Claim, rows: Sequence[Row]) -> str:
    """Returns whether more than half of runs like these show a claim."""
    interval = intervals.share([claim.shows(row) for row in rows])
    return intervals.answer(holds=interval.low > 0.5, fails=interval.high < 0.5)


def _answer_line(claim: Claim, rows: Sequence[Row]) -> str:
    """Returns a claim, the answer, and the outcomes of the runs that test it."""
    shown = [claim.shows(row) for row in rows]
    interval = intervals.share(shown)
    nats = [row['nats_learned'] for row in rows if row['nats_learned'] is not None]
    return (
        f'* {claim.statement}: **{answer(claim, rows)}**: {sum(shown)} of '
        f'{counted(len(rows), "run")}, 95 % interval {100 * interval.low:.0f} to '
        f'{100 * interval.high:.0f} % ({outcomes(rows)}; '
        f'{spread(rows, "dead_channels", 100)} % of channels silent, training error '
        f'{spread(rows, ERROR)} %, cross-entropy {mean_and_range(nats, 2)} nats below '
        'a guess at the end).'
    )


def paired_errors(rows: Iterable[Row], others: Iterable[Row], *fields: str) -> list:
    """Returns the training errors of rows minus those of other rows, in points.

    Rows with equal values of `fields` make a pair. Rows without an error or without a
    partner are left out.
    """
    key = itemgetter(*fields)
    partners = {key(row): row[ERROR] for row in others if row[ERROR] is not None}
    return [
        row[ERROR] - partners[key(row)]
        for row in rows
        if row[ERROR] is not None and key(row) in partners
    ]


def outcomes(rows: Iterable[Row]) -> str:
    """Returns the counts of the verdicts, and the runs that learned nothing apart."""
    return verdict_counts(
        row['verdict']
        if died(row) or learned(row)
        else f'{row["verdict"]} but no better than a guess'
        for row in rows
    )


def errors(rows: Iterable[Row]) -> list[float]:
    """Returns the known training errors, in percent."""
    return [row[ERROR] for row in rows if row[ERROR] is not None]


def results_table(
    rows: Iterable[Row], columns: Mapping[str, Callable[[Row], str]]
) -> str:
    """Returns a Markdown table with a line for each group of rows.

    The values of `columns` define the groups; their order is that of the rows.
    """
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        key = tuple(value(row) for value in columns.values())
        groups.setdefault(key, []).append(row)
    lines = [
        (
            *key,
            len(group),
            outcomes(group),
            spread(group, 'dead_channels', 100),
            spread(group, ERROR),
        )
        for key, group in groups.items()
    ]
    results = ('seeds', 'verdicts', 'silent channels, %', 'training error, %')
    return markdown_table((*columns, *results), lines)


def spread(rows: Iterable[Row], name: str, factor: float = 1.0) -> str:
    """Returns the mean and the range of a column."""
    return mean_and_range(factor * row[name] for row in rows if row[name] is not None)


def mean_and_range(values: Iterable[float], digits: int = 1) -> str:
    """Returns the mean and, for several values, the least and the greatest."""
    numbers = list(values)
    if not numbers:
        return 'unknown'
    texts = [f'{x:.{digits}f}' for x in (mean(numbers), min(numbers), max(numbers))]
    return f'{texts[0]} ({texts[1]} to {texts[2]})' if len(numbers) > 1 else texts[0]
