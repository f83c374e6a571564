"""Tables 2 to 5 of the paper, and what runs of ours give, side by side.

The files of `experiments/` hold the paper's figures; what they share is here.
"""

import argparse
import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from experiments import study
from experiments.paper_rows import Table, ours, picture, text, write_csv
from experiments.study import Size
from inception_jax.commands.evaluate import told
from inception_jax.commands.shared import error_tables
from inception_jax.commands.shared.cli import (
    Parser,
    image_progress,
    mistakes_as_failures,
    print_now,
    run_command,
)
from inception_jax.evaluation.probabilities import Probabilities, check_same_images

if TYPE_CHECKING:
    from inception_jax.evaluation.evaluate import Evaluation

# Four networks of the first kind and three of the others, as Table 5 needs.
LAPTOP = Size(
    config='cifar10.py',
    changes={
        'network.auxiliary': False,
        'network.classes': 10,
        'hparams.decay_epochs': 0.0288,
        'hparams.ema_decay': 0.98,
        'recipe.batch_norm_decay': 0.95,
        'data.evaluation_split': 'test[:500]',
        'run.epochs': 0.384,
        'run.evaluate_every_epochs': 0.384,
        'run.checkpoint_every_epochs': 0.192,
        'run.diagnose_every_steps': 0,
    },
    grids=(
        'name=inception_v3;width=0.2;depth=0.65;seed=0,1,2,3',
        'name=inception_resnet_v1;width=0.2;depth=0.3;seed=0,1,2',
        'name=inception_v4;width=0.15;depth=0.25;seed=0,1,2',
        'name=inception_resnet_v2;width=0.15;depth=0.35;seed=0,1,2',
    ),
    cost='40 minutes of training on 2 busy CPU cores, once for the four tables',
)


def run(module: ModuleType, paper: Table, arguments: list[str] | None = None) -> int:
    """Makes a table from its command line; returns the exit status.

    The folder gets table.md, table.csv, table.png and table.svg.
    """
    name = f'table_{paper.number}'
    options = _options(module, name, arguments)
    options.output = options.output or Path('results') / name
    return run_command(f'{name}.py', lambda: _prepare(module, paper, options))


def _options(module, name: str, arguments) -> argparse.Namespace:
    parser = Parser(
        prog=f'{name}.py',
        allow_abbrev=False,
        description=inspect.getdoc(module),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'paths',
        nargs='*',
        type=Path,
        metavar='PATH',
        help='what evaluate wrote, or the folder of a run or a sweep to evaluate',
    )
    parser.add_argument('--exclude', type=Path, metavar='FILE', help='as of evaluate')
    parser.add_argument(
        '--output', type=Path, metavar='DIR', help=f'results/{name} if not given'
    )
    parser.add_argument(
        '--scale', choices=('laptop',), help=f'train small networks: {LAPTOP.cost}'
    )
    parser.add_argument('--source', help='other data than CIFAR-10, e.g. digits')
    parser.add_argument(
        '--runs', type=Path, default=Path('results/tables'), help='where they live'
    )
    return parser.parse_args(arguments)


def _prepare(module, paper: Table, options) -> Callable[[], int]:
    if bool(options.paths) == bool(options.scale):
        raise ValueError(
            'name files of probabilities or folders of runs, or --scale laptop'
        )
    if options.source and not options.scale:
        raise ValueError('--source belongs to --scale; a run has its own images')
    from inception_jax.runtime.files import refuse_unwritable

    out = error_tables.read_excluded(options)
    paths, train = options.paths, lambda: 0
    if options.scale:
        paths, train = [options.runs], _training(options)
    else:
        _check(paper, list(_one_by_one(paths)))
    with refuse_unwritable(options.output):
        options.output.mkdir(parents=True, exist_ok=True)
    return lambda: train() or _work(module, paper, options.output, out, paths)


def _check(paper: Table, paths: Sequence[Path]) -> None:
    """Looks at what is given before anything is computed.

    Raises:
      ValueError: something is missing, given twice, of other crops or of other images.
    """
    seen, files = {}, []
    for path in paths:
        opened = _opened(path, paper)
        if isinstance(opened, Probabilities):
            about = opened.about
            files.append(opened)
        else:
            about = opened.asked.about
        images, of_first = (
            {name: one.get(name) for name in ('source', 'split', 'classes')}
            for one in (about, next(iter(seen.values()), about))
        )
        if images != of_first:
            raise ValueError(
                f'{path} is of {_images(images)}, and {next(iter(seen))} of '
                f'{_images(of_first)}; a table is of the same'
            )
        for other, there in seen.items():
            if about == there:
                raise ValueError(f'{path} and {other} are the same; name it once')
        seen[path] = about
    if files:
        check_same_images(files)


def _images(images: dict) -> str:
    return f'{images["source"]} {images["split"]}, {len(images["classes"])} classes'


def _training(options) -> Callable[[], int]:
    """Prepares the runs of a scale; returns what trains those that are not done."""
    from inception_jax.lab.sweep import start_sweep

    found = study.plan(LAPTOP, options.runs, options.source)
    train = start_sweep(found, 'sequential', say=print_now)
    return lambda: train().exit_status


def _work(module, paper: Table, folder: Path, out, paths) -> int:
    from inception_jax.evaluation.scores import without_images
    from inception_jax.plots.paper_table import draw_paper_table

    files = []
    for path in _one_by_one(paths):
        files.append(_answer(_opened(path, paper)))
        print(f'{files[-1].about["network"]}: {path}', flush=True)
    with mistakes_as_failures():
        check_same_images(files)
        if out is not None:
            files = [without_images(found, out) for found in files]
    rows = ours(paper, files)
    title = inspect.getdoc(module).splitlines()[0].removesuffix('.')
    found = text(title, paper, files[0], rows)
    (folder / 'table.md').write_text(found)
    write_csv(folder / 'table.csv', rows)
    draw_paper_table(picture(rows), folder / 'table')
    print(f'\n{found}\n{folder / "table.png"}')
    return 0


def _one_by_one(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the paths, and of a sweep its members."""
    from inception_jax.lab.sweep_folder import read_sweep
    from inception_jax.runs.workdir import is_sweep

    for path in paths:
        if is_sweep(path):
            found = read_sweep(path)
            yield from map(found.workdir, found.members)
        else:
            yield path


def _opened(path: Path, paper: Table) -> 'Probabilities | Evaluation':
    """Returns the probabilities of a file, or an evaluation that is ready.

    Raises:
      ValueError: there is no such file or run, or it does not belong into the table.
    """
    from inception_jax.evaluation import evaluate, probabilities

    if path.is_dir():
        return evaluate.prepare_run_evaluation(path, crops=paper.crops)
    found = probabilities.load_probabilities(path)
    if found.about.get('crops') != paper.crops or 'network' not in found.about:
        what = f'{found.about.get("crops")} crops'
        what = 'an ensemble' if 'ensemble' in found.about else what
        raise ValueError(
            f'{path} is of {what}, and Table {paper.number} is made of single networks '
            f'with {paper.crops}; give what evaluate --crops {paper.crops} wrote'
        )
    return found


def _answer(opened: 'Probabilities | Evaluation') -> Probabilities:
    from inception_jax.evaluation import evaluate

    if isinstance(opened, Probabilities):
        return opened
    with told('restore it, or evaluate the run with --skip-unreadable'):
        return evaluate.evaluate(opened, image_progress(len(opened.asked.source)))
