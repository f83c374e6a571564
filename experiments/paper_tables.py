"""The values of Tables 2 to 5, and the command that prints our errors beside them."""

import argparse
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import residual_or_not, study
from experiments.paper_rows import (
    Row,
    Table,
    score_rows,
    table_markdown,
    table_panels,
    write_csv,
)
from experiments.study import Size
from inception_jax.commands.evaluate import evaluation_errors_as_failures
from inception_jax.commands.shared import error_tables
from inception_jax.commands.shared.cli import (
    Parser,
    image_progress,
    mistakes_as_failures,
    print_now,
    run_command,
)
from inception_jax.evaluation.probabilities import Probabilities, check_same_images
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_text

if TYPE_CHECKING:
    from inception_jax.evaluation.evaluate import Evaluation

TABLES = {
    2: Table(
        number=2,
        title='errors of one network on one crop of each image',
        crops=1,
        images=48_238,
        rows=(
            Row('BN-Inception', {}, 25.2, 7.8),
            Row('Inception-v3', {'inception_v3': 1}, 21.2, 5.6),
            Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 21.3, 5.5),
            Row('Inception-v4', {'inception_v4': 1}, 20.0, 5.0),
            Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 19.9, 4.9),
        ),
        cost='then a minute of evaluation',
        notes=(
            'The paper evaluates the 48,238 validation images that are not in the '
            'list of 1,762 bad images of ILSVRC; pass this list with --exclude. On '
            'all 50,000 images its errors are about 0.3 points higher. The best of '
            'its networks and the best without residual connections differ by 0.1.'
        ),
    ),
    3: Table(
        number=3,
        title='errors of one network on 12 crops of each image',
        crops=12,
        images=50_000,
        rows=(
            Row('ResNet-152 (10 crops)', {}, 21.4, 5.7),
            Row('Inception-v3', {'inception_v3': 1}, 19.8, 4.6),
            Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 19.8, 4.6),
            Row('Inception-v4', {'inception_v4': 1}, 18.7, 4.2),
            Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 18.7, 4.1),
        ),
        cost='then 3 minutes of evaluation',
        notes=(
            'The paper says 12 crops as in GoogLeNet, but GoogLeNet has no 12 '
            'crops. They are our interpretation, see `crops`. The paper prints '
            'ResNet-151 for ResNet-152, whose row uses 10 crops.'
        ),
    ),
    4: Table(
        number=4,
        title='errors of one network on 144 crops of each image',
        crops=144,
        images=50_000,
        rows=(
            Row('ResNet-152 (dense)', {}, 19.4, 4.5),
            Row('Inception-v3', {'inception_v3': 1}, 18.9, 4.3),
            Row('Inception-ResNet-v1', {'inception_resnet_v1': 1}, 18.8, 4.3),
            Row('Inception-v4', {'inception_v4': 1}, 17.7, 3.8),
            Row('Inception-ResNet-v2', {'inception_resnet_v2': 1}, 17.8, 3.7),
        ),
        cost='then 19 minutes of evaluation',
        notes=(
            "144 crops are GoogLeNet's at 299 pixels, see `crops`. The paper prints "
            'ResNet-151 for ResNet-152, whose row uses a dense evaluation.'
        ),
    ),
    5: Table(
        number=5,
        title='errors of ensembles on 144 crops of each image',
        crops=144,
        images=50_000,
        rows=(
            Row('ResNet-152 x 6 (dense)', {}, None, 3.6),
            Row('Inception-v3 x 4', {'inception_v3': 4}, 17.3, 3.6),
            Row(
                'Inception-v4 + Inception-ResNet-v2 x 3',
                {'inception_v4': 1, 'inception_resnet_v2': 3},
                16.5,
                3.1,
            ),
        ),
        cost='then 19 minutes of evaluation, which Table 4 shares',
        notes=(
            'The softmax outputs of the networks are averaged. The paper does not '
            'say how the networks of one kind differ; here they have different '
            "seeds. On the test set the paper's ensemble has 3.08 % top-5 error. By "
            'Table 4 the two ensembles gain 1.6 and 1.3 points of top-1 error over '
            'the mean of their members. An ensemble with fewer runs than the '
            "paper's uses the runs that exist, and the table says so."
        ),
    ),
}

# The small networks of residual_or_not.py; Table 5 needs four Inception-v3.
SMALL_PAIRS = residual_or_not.SIZES['laptop']
LAPTOP = Size(
    config=SMALL_PAIRS.config,
    changes=SMALL_PAIRS.changes
    | {
        'data.evaluation_split': 'test[:500]',
        'run.epochs': 0.384,
        'run.evaluate_every_epochs': 0.384,
        'run.checkpoint_every_epochs': 0.192,
    },
    grids=(f'{SMALL_PAIRS.grids[0]},3', *SMALL_PAIRS.grids[1:]),
    cost='40 minutes of training on 2 busy CPU cores, once for the four tables',
)


def description(paper: Table) -> str:
    """Returns the help text of the command that makes a table."""
    name = f'table_{paper.number}'
    return f"""Table {paper.number}: {paper.title}.

Command   python experiments/{name}.py runs/v3 runs/v4 ... [--exclude LIST]
          python experiments/{name}.py --scale laptop
Reads     files that `evaluate --crops {paper.crops}` wrote, or runs, which it evaluates
Cost      from files: seconds; laptop: 40 minutes of training on 2 CPU cores, once for
          the four tables, {paper.cost}
Seeds     laptop: four for Inception-v3, three for each other network
Writes    results/{name}/: table.md, table.csv, table.png and .svg

{textwrap.fill(paper.notes, 88)}"""


def run(paper: Table, arguments: list[str] | None = None) -> int:
    """Runs the command that makes a table, and returns the exit status.

    The output folder gets table.md, table.csv, table.png and table.svg.
    """
    name = f'table_{paper.number}'
    options = _parse_options(paper, name, arguments)
    options.output = options.output or Path('results') / name
    return run_command(f'{name}.py', lambda: _prepare(paper, options))


def _parse_options(
    paper: Table, name: str, arguments: list[str] | None
) -> argparse.Namespace:
    parser = Parser(
        prog=f'{name}.py',
        allow_abbrev=False,
        description=description(paper),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'paths',
        nargs='*',
        type=Path,
        metavar='PATH',
        help='a file that evaluate wrote, or the folder of a run or sweep to evaluate',
    )
    parser.add_argument(
        '--exclude',
        type=Path,
        metavar='FILE',
        help='leave out the images that this file lists, as with evaluate',
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='DIR',
        help=f'write the table to DIR; default: results/{name}',
    )
    parser.add_argument(
        '--scale', choices=('laptop',), help=f'train small networks: {LAPTOP.cost}'
    )
    parser.add_argument(
        '--source', help='train on other images than CIFAR-10, for example digits'
    )
    parser.add_argument(
        '--runs',
        type=Path,
        default=Path('results/tables'),
        help='the folder of the small networks; default: results/tables',
    )
    return parser.parse_args(arguments)


def _prepare(paper: Table, options: argparse.Namespace) -> Callable[[], int]:
    if bool(options.paths) == bool(options.scale):
        raise ValueError(
            'name files of probabilities or folders of runs, or --scale laptop'
        )
    if options.source and not options.scale:
        raise ValueError('--source belongs to --scale; a run has its own images')
    from inception_jax.runtime.files import refuse_unwritable

    excluded = error_tables.read_excluded(options)
    paths, train = options.paths, lambda: 0
    if options.scale:
        paths, train = [options.runs], _prepare_training(options)
    else:
        _check_files(paper, list(_single_runs(paths)))
    with refuse_unwritable(options.output):
        options.output.mkdir(parents=True, exist_ok=True)
    return lambda: train() or _make_table(paper, options.output, excluded, paths)


def _check_files(paper: Table, paths: Sequence[Path]) -> None:
    """Checks the files before anything is computed.

    Raises:
      ValueError: a file is missing, is given twice, or has other crops or images.
    """
    origins, files = {}, []
    for path in paths:
        source = _open_source(path, paper)
        origin = source.metadata
        if isinstance(source, Probabilities):
            files.append(source)
        first = next(iter(origins.values()), origin)
        if _images(origin) != _images(first):
            raise ValueError(
                f'{path} evaluates {_images_text(origin)}, and {next(iter(origins))} '
                f'{_images_text(first)}; all files of a table must evaluate the same '
                'images'
            )
        for other, other_origin in origins.items():
            if origin == other_origin:
                raise ValueError(f'{path} and {other} are the same; name it once')
        origins[path] = origin
    if files:
        check_same_images(files)


def _images(origin: dict) -> dict:
    return {name: origin.get(name) for name in ('source', 'split', 'classes')}


def _images_text(origin: dict) -> str:
    classes = counted(len(origin['classes']), 'class', 'classes')
    return f'{origin["source"]} {origin["split"]}, {classes}'


def _prepare_training(options: argparse.Namespace) -> Callable[[], int]:
    """Prepares the small networks; returns the function that trains them."""
    from inception_jax.lab.sweep import start_sweep

    planned = study.plan(LAPTOP, options.runs, options.source)
    train = start_sweep(planned, 'sequential', say=print_now)
    return lambda: train().exit_status


def _make_table(
    paper: Table, folder: Path, excluded: list[str] | None, paths: Sequence[Path]
) -> int:
    from inception_jax.evaluation.probabilities import without_images
    from inception_jax.plots.paper_table import draw_paper_table

    files = []
    for path in _single_runs(paths):
        files.append(_probabilities(_open_source(path, paper)))
        print(f'{files[-1].metadata["network"]}: {path}', flush=True)
    with mistakes_as_failures():
        check_same_images(files)
        if excluded is not None:
            files = [without_images(file, excluded) for file in files]
    rows = score_rows(paper, files)
    markdown = table_markdown(paper, files[0], rows)
    write_text(folder / 'table.md', markdown)
    write_csv(folder / 'table.csv', rows)
    draw_paper_table(table_panels(rows), folder / 'table')
    print(f'\n{markdown}\n{folder / "table.png"}')
    return 0


def _single_runs(paths: Sequence[Path]) -> Iterator[Path]:
    """Yields the paths of runs and files, and replaces a sweep by its members."""
    from inception_jax.lab.sweep_folder import read_sweep
    from inception_jax.runs.workdir import is_sweep

    for path in paths:
        if is_sweep(path):
            sweep = read_sweep(path)
            yield from map(sweep.workdir, sweep.members)
        else:
            yield path


def _open_source(path: Path, paper: Table) -> 'Probabilities | Evaluation':
    """Returns the probabilities in a file, or the prepared evaluation of a run.

    Raises:
      ValueError: the file or run does not exist, or does not belong in the table.
    """
    from inception_jax.evaluation import evaluate, probabilities

    if path.is_dir():
        return evaluate.prepare_run_evaluation(path, crops=paper.crops)
    file = probabilities.load_probabilities(path)
    if file.metadata.get('crops') != paper.crops or 'network' not in file.metadata:
        is_ensemble = 'ensemble' in file.metadata
        crops = counted(file.metadata.get('crops', 0), 'crop')
        content = 'an ensemble' if is_ensemble else crops
        raise ValueError(
            f'{path} holds {content}; Table {paper.number} needs single networks with '
            f'{paper.crops}: give files that evaluate --crops {paper.crops} wrote'
        )
    return file


def _probabilities(source: 'Probabilities | Evaluation') -> Probabilities:
    from inception_jax.evaluation import evaluate

    if isinstance(source, Probabilities):
        return source
    advice = 'restore it, or evaluate the run with --skip-unreadable'
    with evaluation_errors_as_failures(advice):
        return evaluate.run_evaluation(source, image_progress(len(source.source)))
