"""A study: a sweep that asks a question of the paper, and an answer in words.

The files of `experiments/` say what is varied and what follows from the table; what
they share is here.
"""

import argparse
import dataclasses
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from inception_jax.commands.configs import config as load_config
from inception_jax.commands.configs import keep_compiled_programs

CONFIGS = Path(__file__).parent.parent / 'configs'

# What stands in where CIFAR-10 is not at hand; a mirrored digit is another sign.
DIGITS = {
    'data.source': 'digits',
    'data.area': [0.6, 1.0],
    'recipe.flip': False,
}

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Scale:
    """A size of a study: a config with changes, the grids, and what they cost."""

    config: str
    changes: Mapping[str, Any]
    grids: Sequence[str]
    cost: str


def run(
    module: ModuleType,
    scales: Mapping[str, Scale],
    conclude: Callable[[list[Row]], str],
    arguments: list[str] | None = None,
) -> int:
    """Runs a study from its command line; returns the exit status.

    The folder gets the sweep, table.csv, verdict.md, and report.html with its figures.
    """
    options = _options(module, scales, arguments)
    try:
        work = _prepare(module, scales[options.scale], conclude, options)
    except (ValueError, OSError) as error:
        print(f'{options.name}: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    return work()


def _options(module, scales, arguments) -> argparse.Namespace:
    name = Path(module.__file__).stem
    parser = argparse.ArgumentParser(
        prog=name,
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    costs = '; '.join(f'{scale}: {one.cost}' for scale, one in scales.items())
    parser.add_argument('--scale', choices=scales, required=True, help=costs)
    parser.add_argument('--output', type=Path, metavar='DIR', help='results/NAME/SCALE')
    parser.add_argument('--source', help='other data than CIFAR-10, e.g. digits')
    parser.add_argument(
        '--engine', choices=('sequential', 'devices', 'vmap'), default='sequential'
    )
    parser.add_argument('--shard', default='0/1', metavar='I/N')
    options = parser.parse_args(arguments)
    options.name = name
    options.output = options.output or Path('results') / name / options.scale
    return options


def _prepare(module, scale: Scale, conclude, options) -> Callable[[], int]:
    from inception_jax import members
    from inception_jax.overrides import override

    shard = members.shard(options.shard)
    base = override(load_config(str(CONFIGS / scale.config), []), dict(scale.changes))
    base = override(base, _data(base, options.source))
    changes = [c for grid in scale.grids for c in members.product(base, grid)]
    found = members.opened(options.output, base, members.named(changes))
    keep_compiled_programs()
    from inception_jax import sweep

    prepared = sweep.prepared(found)
    return lambda: _work(module, found, prepared, conclude, options, shard)


def _data(base: dict, source: str | None) -> dict[str, Any]:
    """Returns the changes that put other data in the place of CIFAR-10."""
    from inception_jax.data.sources import open_source

    if source is None:
        try:
            data = base['data']
            open_source(data['source'], data['train_split'], data_dir=data['data_dir'])
            return {}
        except ValueError as error:
            print(f'{error}\nusing handwritten digits instead', file=sys.stderr)
            source = 'digits'
    return DIGITS if source == 'digits' else {'data.source': source}


def _work(module, found, prepared, conclude, options, shard) -> int:
    from inception_jax import report, sweep, tables, workdirs

    print(f'{len(prepared)} members in {found.folder}', flush=True)
    found.folder.mkdir(parents=True, exist_ok=True)
    workdirs.note_command(found.folder)
    summary = sweep.run(found, prepared, engine=options.engine, shard=shard)
    print(sweep.text(summary))
    if summary.signal:
        return 128 + summary.signal
    rows = tables.rows(found)
    if left := sum(row['verdict'] == 'unfinished' for row in rows):
        print(
            f'{left} members are left to other parts; run this again when they are done'
        )
        return 1 if summary.failed else 0
    text = f'{_head(module, found)}\n\n{conclude(rows)}\n'
    (found.folder / 'verdict.md').write_text(text)
    print(f'\n{text}')
    print(report.report([found.folder]))
    return 1 if summary.failed else 0


def _head(module, found) -> str:
    title = inspect.getdoc(module).splitlines()[0]
    source = found.config['data']['source']
    return f'# {title}\n\n{len(found.members)} members on {source}.'
