"""predict: the classes of image files, or the features of a block."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from inception_jax.commands.shared import class_names, error_tables, trained_options
from inception_jax.commands.shared.cli import (
    add_format,
    add_renamed,
    close_broken_pipe,
    image_progress,
    path_option,
    refuse_arguments,
    sigterm_as_exit,
    table_line,
)
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import printable

HELP = 'print the classes of image files, or save their features'
DETAILS = (
    'A run predicts with its EMA weights. The command lists files that cannot be read '
    'at the end; the exit status is then 1.'
)
EXAMPLES = (
    '--weights v4.safetensors photos/ --top 3',
    '--workdir runs/quickstart digit.png --format json',
    '--weights v4.safetensors photos/ --features pool --output features.npz',
)

# The name of a file may be any bytes; this encoding writes them unchanged.
BYTES_OF_NAMES = {'encoding': 'utf-8', 'errors': 'surrogateescape'}

# The width of a column of paths or classes; the lines come one by one.
LONGEST_CELL = 40


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    group = parser.add_argument_group('the images')
    group.add_argument(
        'images',
        nargs='+',
        type=path_option,
        metavar='IMAGE',
        help='image files, and folders with image files at any depth',
    )
    trained_options.add_crops(group)
    group.add_argument(
        '--batch-size',
        type=error_tables.count,
        metavar='N',
        help='number of crops in a batch (default: up to 32 a device)',
    )
    group = parser.add_argument_group('the output')
    group.add_argument(
        '--top',
        type=error_tables.count,
        default=5,
        metavar='K',
        help='number of classes to print for each image, the most probable ones '
        '(default: %(default)s)',
    )
    add_renamed(
        group,
        '--names',
        '--class-names',
        type=path_option,
        metavar='FILE',
        help='text file with the class names to print, one a line in the order of the '
        'labels (default: the names in the run or weight file)',
    )
    add_format(group, 'md', 'csv', 'json', of='predictions')
    group.add_argument(
        '--features',
        metavar='BLOCK',
        help='block whose output to save, with --output FILE.npz; pool is the vector '
        'before the logits, and describe lists the other blocks (default: print '
        'classes)',
    )
    group.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='file for the predictions or features (default: print the predictions)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Opens the images and the network, and returns the work on them."""
    refuse_arguments(rest)
    _check(options)
    from inception_jax.data.sources.files import Files, find_image_files

    names = class_names.load_class_names('--class-names', options.class_names)
    paths = find_image_files(options.images)
    trained, _ = trained_options.open_trained(options)
    from inception_jax.evaluation.apply import LOGITS, check_end_point
    from inception_jax.evaluation.predict import prediction_batch_size
    from inception_jax.weights.trained import check_head

    if options.features:
        check_end_point(trained.network, options.features)
    if options.features in (None, LOGITS):
        check_head(trained)
    images = Files(tuple(paths), _class_names(names, trained.class_names))
    batch_size = prediction_batch_size(trained, len(paths), options.batch_size)
    return lambda: _work(options, trained, images, batch_size)


def _work(options: argparse.Namespace, trained, images, batch_size: int) -> int:
    """Writes predictions or features, then lists the files that cannot be read."""
    from inception_jax.evaluation.predict import predictions, write_features

    trained_options.print_weights(options, trained)
    unreadable = []
    progress_shown = options.output or not sys.stdout.isatty()
    common = {
        'batch_size': batch_size,
        'unreadable': unreadable.append,
        'progress': image_progress(len(images), shown=progress_shown),
    }
    with sigterm_as_exit():
        if options.features:
            write_features(trained, images, options.features, options.output, **common)
        else:
            top = min(options.top, images.classes)
            results = predictions(
                trained, images, top=top, crops=options.crops, **common
            )
            _write_lines(options.output, FORMATS[options.format](results, images, top))
    if unreadable:
        print(
            f'{len(unreadable):,} of {counted(len(images), "image")} cannot be read:',
            *map(printable, sorted(map(str, unreadable))),
            sep='\n',
            file=sys.stderr,
        )
    return 1 if unreadable else 0


def _check(options: argparse.Namespace) -> None:
    """Raises ValueError for options that contradict each other."""
    for name in ('batch_size', 'top'):
        if getattr(options, name) == 0:
            raise ValueError(f'--{name.replace("_", "-")} is 0; expected 1 or more')
    if options.output is not None and options.output.exists():
        raise ValueError(f'{options.output} exists already; name another --output')
    if not options.features:
        return
    if options.output is None or options.output.suffix != '.npz':
        raise ValueError('--features needs --output FILE.npz')
    if options.crops > 1:
        raise ValueError('--features uses a single crop; leave out --crops')


def _class_names(names: list[str] | None, classes: tuple[str, ...]) -> tuple[str, ...]:
    if names is None:
        return classes
    if len(names) != len(classes):
        raise ValueError(
            f'--class-names has {counted(len(names), "line")}, and the network '
            f'has {counted(len(classes), "class", "classes")}; name each class'
        )
    return tuple(names)


def _write_lines(path: Path | None, lines: Iterable[str]) -> None:
    """Prints lines as they come, or writes them to a file atomically."""
    if path is None:
        try:
            for line in lines:
                print(printable(line), flush=True)
        except BrokenPipeError:
            close_broken_pipe()
        return
    from inception_jax.runtime.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft, draft.open('w', **BYTES_OF_NAMES) as file:
        file.writelines(f'{line}\n' for line in lines)


def _pairs(prediction) -> Iterator[tuple[str, float]]:
    return zip(prediction.classes, prediction.probabilities, strict=True)


def _markdown(predictions: Iterable, images, top: int) -> Iterator[str]:
    """Yields the lines of a table. A longer path or class widens only its own line."""
    columns = [name for k in range(1, top + 1) for name in (f'class {k}', '%')]
    path, name = (
        min(LONGEST_CELL, max(map(len, texts)))
        for texts in (('image', *images.ids), ('class 1', *images.class_names))
    )
    widths = [path, *(top * [name, 5])]
    yield table_line(['image', *columns], widths)
    yield table_line(['-' * width for width in widths], widths)
    for prediction in predictions:
        cells = [prediction.image]
        for name, probability in _pairs(prediction):
            cells += [name, f'{100 * probability:.1f}']
        cells = [cell.replace('|', r'\|') for cell in cells]
        yield table_line(cells, widths)


def _csv(predictions: Iterable, images, top: int) -> Iterator[str]:
    def line(*cells) -> str:
        row = io.StringIO()
        csv.writer(row, lineterminator='').writerow(cells)
        return row.getvalue()

    yield line('image', 'rank', 'class', 'probability')
    for prediction in predictions:
        for rank, (name, probability) in enumerate(_pairs(prediction), 1):
            yield line(prediction.image, rank, name, f'{probability:.6g}')


def _json(predictions: Iterable, images, top: int) -> Iterator[str]:
    """Yields the lines of a JSON list, one line for each image."""
    before = '['
    for prediction in predictions:
        classes = [
            {'class': name, 'probability': probability}
            for name, probability in _pairs(prediction)
        ]
        yield before + json.dumps({'image': prediction.image, 'classes': classes})
        before = ','
    yield '[]' if before == '[' else ']'


FORMATS = {'md': _markdown, 'csv': _csv, 'json': _json}
