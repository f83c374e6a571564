"""The output of evaluate and ensemble: errors as Markdown, CSV or JSON."""

import argparse
import csv
import io
import json

from inception_jax.commands.shared.cli import (
    add_format,
    add_renamed,
    markdown_table,
    path_option,
)

COLUMNS = ('images', 'number', 'top-1 error', '95 %', 'top-5 error', '95 %')


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the printed errors')
    group.add_argument(
        '--exclude',
        type=path_option,
        metavar='FILE',
        help='text file of images to leave out, one a line: an id, or a file number as '
        "in ImageNet's list. The errors of all images are printed too (default: leave "
        'out no image)',
    )
    add_renamed(
        group,
        '--classes',
        '--worst-classes',
        type=count,
        default=0,
        metavar='N',
        help='number of classes to print, those with the largest errors (default: '
        '%(default)s)',
    )
    group.add_argument(
        '--confusions',
        type=count,
        default=0,
        metavar='N',
        help='number of confusions of two classes to print, the most frequent ones '
        '(default: %(default)s)',
    )
    add_format(group, 'md', 'csv', 'json', of='errors')


def count(argument: str) -> int:
    """Parses an integer of 0 or more, for argparse."""
    number = int(argument)
    if number < 0:
        raise ValueError
    return number


def read_excluded(options: argparse.Namespace) -> list[str] | None:
    """Reads the images to leave out, one a line, or returns None without the option.

    Raises:
      ValueError: the file cannot be read, or is empty.
    """
    if options.exclude is None:
        return None
    try:
        lines = options.exclude.read_text('utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f'--exclude {options.exclude} cannot be read; name a file with one image a '
            'line'
        ) from error
    excluded = [line.strip() for line in lines if line.strip()]
    if not excluded:
        raise ValueError(f'--exclude {options.exclude} is empty; name one image a line')
    return excluded


def error_table(
    probabilities, options: argparse.Namespace, excluded: list[str] | None
) -> str:
    """Returns the errors of probabilities, and the worst classes and confusions.

    `excluded` are the images to leave out, or None.

    Raises:
      ValueError: an excluded image does not exist, or no image is left.
    """
    from inception_jax.evaluation.probabilities import without_images
    from inception_jax.evaluation.scores import by_class, confusions
    from inception_jax.runs.run import shows_top_5

    rows = {'all': probabilities.scores}
    if excluded is not None:
        count = len(probabilities.ids)
        probabilities = without_images(probabilities, excluded)
        rows[f'without {count - len(probabilities.ids):,}'] = probabilities.scores
    classes = by_class(probabilities)[: options.worst_classes]
    pairs = confusions(probabilities)[: options.confusions]
    if options.format == 'json':
        return json.dumps(
            {
                'about': probabilities.metadata,
                'errors': {
                    name: {
                        'images': row.images,
                        'top_1': row.top_1._asdict(),
                        'top_5': row.top_5._asdict(),
                    }
                    for name, row in rows.items()
                },
                'classes': [row._asdict() for row in classes],
                'confusions': [row._asdict() for row in pairs],
            }
        )
    write = _csv if options.format == 'csv' else markdown_table
    # Programs read the columns of CSV, which are the same for all data sets.
    top_5 = options.format == 'csv' or shows_top_5(len(probabilities.class_names))
    columns = [*COLUMNS[:4], *(COLUMNS[4:] if top_5 else ())]
    tables = [write(columns, [_row(n, row, top_5) for n, row in rows.items()])]
    unreadable = probabilities.metadata.get('unreadable')
    if unreadable and options.format == 'md':
        tables.append(f'Unreadable images, which do not count: {unreadable:,}')
    if classes:
        errors = ['top-1 error', *(['top-5 error'] if top_5 else [])]
        cells = [
            (
                *(row.name, row.images, f'{row.top_1_error:.1f}'),
                *([f'{row.top_5_error:.1f}'] if top_5 else []),
                row.mistaken_for,
            )
            for row in classes
        ]
        tables.append(write(('class', 'images', *errors, 'mistaken for'), cells))
    if pairs:
        tables.append(write(('class', 'answer', 'images'), pairs))
    return '\n\n'.join(tables)


def _row(name: str, row, top_5: bool) -> tuple:
    cells = [
        cell
        for score in ((row.top_1, row.top_5) if top_5 else (row.top_1,))
        for cell in (f'{score.error:.2f}', f'{score.low:.2f} to {score.high:.2f}')
    ]
    return (name, row.images, *cells)


def _csv(head, rows) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator='\n').writerows([head, *rows])
    return file.getvalue().rstrip('\n')
