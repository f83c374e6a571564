"""predict: the classes of image files, or what a block computes of them."""

import argparse
import csv
import functools
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from inception_jax.commands.shared import class_names, error_tables, trained_options
from inception_jax.commands.shared.cli import (
    close_broken_pipe,
    image_progress,
    refuse_arguments,
    sigterm_as_exit,
    unwritable_as_failure,
)

HELP = 'the most probable classes of image files, or features of them'
EPILOG = (
    'Files that cannot be read are listed at the end, and the exit status is 1. Of a '
    'run the averaged parameters are used.'
)

# A file's name may be any bytes; they come out as they were.
NAMES_OF_FILES = {'encoding': 'utf-8', 'errors': 'surrogateescape'}


def arguments(parser: argparse.ArgumentParser) -> None:
    trained_options.arguments(parser)
    parser.add_argument(
        'images',
        nargs='+',
        type=Path,
        metavar='IMAGE',
        help='files, and folders of files at any depth',
    )
    parser.add_argument(
        '--top',
        type=error_tables.count,
        default=5,
        metavar='K',
        help='how many classes of each (%(default)s)',
    )
    parser.add_argument(
        '--names',
        type=Path,
        metavar='FILE',
        help='other names for the classes, a line each in their order',
    )
    trained_options.add_crops(parser)
    parser.add_argument(
        '--batch-size',
        type=error_tables.count,
        metavar='N',
        help='crops at a time; 32 a device if not given',
    )
    parser.add_argument('--format', choices=('md', 'csv', 'json'), default='md')
    parser.add_argument(
        '--features',
        metavar='BLOCK',
        help='what this block computes instead of classes: pool is the vector before '
        'the logits, logits these, and describe lists the others; needs --output',
    )
    parser.add_argument(
        '--output', type=Path, metavar='FILE', help='where it goes, not to the screen'
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Finds the images and the network, and returns the rest of the work."""
    refuse_arguments(rest)
    _check(options)
    from inception_jax.data.sources.files import Files, find_files

    names = class_names.load_class_names('--names', options.names)
    paths = find_files(options.images)
    one, _ = trained_options.open_trained(options)
    from inception_jax.evaluation.apply import check_end_point
    from inception_jax.evaluation.predict import (
        PredictionRequest,
        prediction_batch_size,
    )

    if options.features:
        check_end_point(one.network, options.features)
    if names is not None:
        one = one._replace(class_names=_names(names, one.class_names))
    faults = []
    request = PredictionRequest(
        Files(tuple(paths), one.class_names),
        options.crops,
        prediction_batch_size(one, len(paths), options.batch_size),
        faults.append,
        image_progress(len(paths), shown=options.output or not sys.stdout.isatty()),
    )
    return lambda: _work(options, one, request, faults)


def _work(options: argparse.Namespace, one, request, faults: list) -> int:
    """Tells or writes what the network says, then what could not be read."""
    from inception_jax.evaluation.predict import predictions, write_features

    with sigterm_as_exit():
        if options.features:
            name, path = options.features, options.output
            with unwritable_as_failure(path):
                write_features(one, request, name, path)
        else:
            top = min(options.top, len(one.class_names))
            found = predictions(one, request, top)
            forms = {'md': functools.partial(_table, top), 'csv': _csv, 'json': _json}
            _tell(options, forms[options.format](found))
    if faults:
        print(
            f'{len(faults):,} of {len(request.images):,} images cannot be read:',
            *sorted(map(str, faults)),
            sep='\n',
            file=sys.stderr,
        )
    return 1 if faults else 0


def _check(options: argparse.Namespace) -> None:
    """Raises ValueError for options that do not go together."""
    for name in ('batch_size', 'top'):
        if getattr(options, name) == 0:
            raise ValueError(f'--{name.replace("_", "-")} is 0; expected 1 or more')
    if options.output is not None and options.output.exists():
        raise ValueError(f'{options.output} is there already; name another --output')
    if not options.features:
        return
    if options.output is None or options.output.suffix != '.npz':
        raise ValueError('--features needs --output FILE.npz')
    if options.crops > 1:
        raise ValueError('--features is of one crop; leave out --crops')


def _names(given: list[str], classes: tuple[str, ...]) -> tuple[str, ...]:
    if len(given) != len(classes):
        raise ValueError(
            f'--names has {len(given):,} lines, and there are {len(classes):,} '
            'classes; name each'
        )
    return tuple(given)


def _tell(options: argparse.Namespace, lines: Iterable[str]) -> None:
    """Prints lines as they come, or writes them into a file in one piece."""
    if options.output is None:
        try:
            for line in lines:
                # Names that are no text have marks in them on a screen.
                print(line.encode('utf-8', 'replace').decode(), flush=True)
        except BrokenPipeError:
            close_broken_pipe()
        return
    from inception_jax.runtime.files import write_atomically

    path = options.output
    with unwritable_as_failure(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as place, place.open('w', **NAMES_OF_FILES) as file:
            file.writelines(f'{line}\n' for line in lines)


def _table(top: int, found: Iterable) -> Iterator[str]:
    columns = [name for k in range(1, top + 1) for name in (f'class {k}', '%')]
    yield f'| image | {" | ".join(columns)} |'
    yield f'|{(1 + len(columns)) * " --- |"}'
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        cells = [cell for name, p in pairs for cell in (name, f'{100 * p:.1f}')]
        texts = (text.replace('|', r'\|') for text in (one.image, *cells))
        yield f'| {" | ".join(texts)} |'


def _csv(found: Iterable) -> Iterator[str]:
    def line(*cells) -> str:
        text = io.StringIO()
        csv.writer(text, lineterminator='').writerow(cells)
        return text.getvalue()

    yield line('image', 'rank', 'class', 'probability')
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        for rank, (name, p) in enumerate(pairs, 1):
            yield line(one.image, rank, name, f'{p:.6g}')


def _json(found: Iterable) -> Iterator[str]:
    """Yields the lines of a list, one for each image."""
    before = '['
    for one in found:
        pairs = zip(one.classes, one.probabilities, strict=True)
        classes = [{'class': name, 'probability': p} for name, p in pairs]
        yield before + json.dumps({'image': one.image, 'classes': classes})
        before = ','
    yield '[]' if before == '[' else ']'
