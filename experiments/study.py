"""A study: a sweep that asks a question of the paper, and an answer in words.

The files of `experiments/` say what is varied and what follows from the table; what
they share is here.
"""

import argparse
import dataclasses
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from types import ModuleType
from typing import Any

from inception_jax.commands.shared.cli import (
    Parser,
    add_engine_and_shard,
    print_now,
    run_command,
)
from inception_jax.config.files import load_config
from inception_jax.config.overrides import flatten, override
from inception_jax.lab.grid import name_members, parse_grid, parse_shard
from inception_jax.lab.sweep_folder import Sweep, open_sweep
from inception_jax.stability.verdicts import LOST, verdict_counts

CONFIGS = Path(__file__).parent.parent / 'configs'

# What stands in where CIFAR-10 is not at hand; a mirrored digit is another sign.
DIGITS = {
    'data.source': 'digits',
    'data.train_split': 'train',
    'data.evaluation_split': 'test',
    'data.area': [0.6, 1.0],
    'recipe.flip': False,
}
# How many of its epochs have the steps of one of CIFAR-10.
DIGITS_EPOCHS = 50_000 / 1438

Row = dict[str, Any]

# From where on a run has learned something: nats below ln(classes), or points below the
# error of a guess, where the loss is large because a few answers are very wrong.
LEARNED_NATS, LEARNED_POINTS = 0.1, 5.0


@dataclasses.dataclass(frozen=True)
class Size:
    """A size of a study: a config with changes, the grids, and what they cost."""

    config: str
    changes: Mapping[str, Any]
    grids: Sequence[str]
    cost: str


def run(
    module: ModuleType,
    sizes: Mapping[str, Size],
    conclude: Callable[[Sweep], str],
    arguments: list[str] | None = None,
) -> int:
    """Runs a study from its command line; returns the exit status.

    The folder gets the sweep, table.csv, verdict.md with what `conclude` says of them,
    and report.html with its figures.
    """
    options = _options(module, sizes, arguments)
    # Networks of the experiments, for members that name one by its path.
    sys.path.append(str(CONFIGS.parent))
    size = sizes[options.scale]
    return run_command(
        f'{options.name}.py', lambda: _prepare(module, size, conclude, options)
    )


def _options(module, sizes, arguments) -> argparse.Namespace:
    name = Path(module.__file__).stem
    parser = Parser(
        prog=f'{name}.py',
        allow_abbrev=False,
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    costs = '; '.join(f'{name}: {size.cost}' for name, size in sizes.items())
    parser.add_argument('--scale', choices=sizes, required=True, help=costs)
    parser.add_argument('--output', type=Path, metavar='DIR', help='results/NAME/SCALE')
    parser.add_argument('--source', help='other data than CIFAR-10, e.g. digits')
    add_engine_and_shard(parser)
    options = parser.parse_args(arguments)
    options.name = name
    options.output = options.output or Path('results') / name / options.scale
    return options


def _prepare(module, size: Size, conclude, options) -> Callable[[], int]:
    shard = parse_shard(options.shard)
    found = plan(size, options.output, options.source)
    from inception_jax.lab.sweep import start_sweep

    train = start_sweep(found, options.engine, shard, say=print_now)
    return lambda: _work(module, found, train, conclude)


def plan(size: Size, folder: Path, source: str | None = None) -> Sweep:
    """Returns the sweep of a study, with other data where a source is given.

    Raises:
      ValueError: there is no such field or data, digits are to be ImageNet, or the
        folder holds another sweep.
    """
    base = load_config(CONFIGS / size.config, **size.changes)
    changes = [c for grid in size.grids for c in parse_grid(base, grid)]
    source = source or _at_hand(base)
    if source == 'digits':
        if base['data']['source'] != 'tfds:cifar10':
            raise ValueError(
                f'digits stand in for CIFAR-10, not for {base["data"]["source"]}; use '
                'another --scale'
            )
        base = override(base, _stretched(flatten(base)) | DIGITS)
        changes = map(_stretched, changes)
    else:
        base = override(base, {'data.source': source})
    return open_sweep(folder, base, name_members(changes))


def _at_hand(base: dict) -> str:
    """Returns the source of a config, or digits in place of a missing CIFAR-10."""
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


def _stretched(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Returns fields in which epochs of CIFAR-10 are as many steps on the digits."""
    return {
        field: value * DIGITS_EPOCHS if field.endswith('epochs') else value
        for field, value in fields.items()
    }


def _work(module, found, train, conclude) -> int:
    from inception_jax.reports import report

    # It would be of the members so far.
    (found.folder / 'verdict.md').unlink(missing_ok=True)
    summary = train()
    if summary.signal:
        return summary.exit_status
    ended = Counter(row['verdict'] for row in found.table())
    if left := ended['unfinished']:
        print(
            f'{left} members are left to other parts; run this again when they are done'
        )
        return summary.exit_status
    text = f'{_head(module, found, ended["failed"])}\n\n{conclude(found)}\n'
    (found.folder / 'verdict.md').write_text(text)
    print(f'\n{text}')
    print(report.report([found.folder]))
    return summary.exit_status


def _head(module, found, failed: int) -> str:
    title = inspect.getdoc(module).splitlines()[0]
    source = found.config['data']['source']
    without = f', without the {failed} that failed' if failed else ''
    return f'# {title}\n\n{len(found.members)} members on {source}{without}.'


def rows(sweep: Sweep) -> list[Row]:
    """Returns the rows of the members that came to an end; failed ones tell nothing."""
    return [row for row in sweep.table() if row['verdict'] != 'failed']


def lives(row: Row) -> bool:
    return row['verdict'] == 'alive'


def died(row: Row) -> bool:
    """Tells whether a run died or diverged; who is dying neither died nor lives."""
    return row['verdict'] in LOST


def learned(row: Row) -> bool:
    """Tells whether a run that did not die is better than a guess, in loss or error."""
    nats = row['nats_learned']
    if died(row) or nats is None:
        return False
    guess = 100.0 * (1.0 - math.exp(-nats - row['train_cross_entropy']))
    better = guess - row['train_top_1_error']
    return nats > LEARNED_NATS or better > LEARNED_POINTS


def _nats(rows: Iterable[Row]) -> Iterator[float]:
    return (r['nats_learned'] for r in rows if r['nats_learned'] is not None)


def remark(claim: str, holds: bool, rows: Sequence[Row]) -> str:
    """Returns a claim, whether it holds, and how the rows that tell it ended."""
    return (
        f'* {claim}: **{"holds" if holds else "does not hold"} here** '
        f'({verdicts(rows)}; {spread(rows, "dead_channels", 100)} % of channels '
        f'silent, training error {spread(rows, "train_top_1_error")} %, cross-entropy '
        f'{mean_and_range(_nats(rows), 2)} nats below a guess at the end).'
    )


def verdicts(rows: Iterable[Row]) -> str:
    """Returns how many rows have which verdict, and which of them learned nothing."""
    return verdict_counts(map(_outcome, rows))


def _outcome(row: Row) -> str:
    if died(row) or learned(row):
        return row['verdict']
    return f'{row["verdict"]} but no better than a guess'


def spread(rows: Iterable[Row], name: str, factor: float = 1.0) -> str:
    """Returns the mean and range of a column."""
    return mean_and_range(factor * row[name] for row in rows if row[name] is not None)


def mean_and_range(values: Iterable[float], digits: int = 1) -> str:
    """Returns the mean and, of several values, the least and the greatest."""
    numbers = list(values)
    if not numbers:
        return 'unknown'
    texts = [f'{x:.{digits}f}' for x in (mean(numbers), min(numbers), max(numbers))]
    return f'{texts[0]} ({texts[1]} to {texts[2]})' if len(numbers) > 1 else texts[0]
