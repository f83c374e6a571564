"""What evaluate and ensemble print: errors as a table, as CSV or as JSON."""

import argparse
import csv
import io
import json
from pathlib import Path

from inception_jax.commands.shared.cli import markdown_table

COLUMNS = ('images', 'number', 'top-1 error', '95 %', 'top-5 error', '95 %')


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('what is printed')
    group.add_argument(
        '--exclude',
        type=Path,
        metavar='FILE',
        help='images to leave out, a line each: ids, or the numbers of their files, as '
        "in ImageNet's list; the full figure stands beside",
    )
    group.add_argument(
        '--classes', type=count, default=0, metavar='N', help='the N worst classes too'
    )
    group.add_argument(
        '--confusions', type=count, default=0, metavar='N', help='the N worst pairs too'
    )
    group.add_argument('--format', choices=('md', 'csv', 'json'), default='md')


def count(text: str) -> int:
    """Reads a number of things, 0 or more, for argparse."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def read_excluded(options: argparse.Namespace) -> list[str] | None:
    """Reads the images to leave out, None without the option.

    Raises:
      ValueError: the file cannot be read, or names none.
    """
    if options.exclude is None:
        return None
    try:
        found = options.exclude.read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f'--exclude {options.exclude} cannot be read; name a file with an image a '
            'line'
        ) from error
    if not found:
        raise ValueError(f'--exclude {options.exclude} is empty; name an image a line')
    return found


def errors_text(
    found, names, options: argparse.Namespace, out: list[str] | None
) -> str:
    """Returns the errors of probabilities, and what else was asked for.

    `names` are those of the classes; `out` are the images to leave out, or None.

    Raises:
      ValueError: an image to leave out is not there.
    """
    from inception_jax.evaluation import scores
    from inception_jax.evaluation.scores import by_class, confusions, without_images

    rows = {'all': scores.scores(found)}
    if out is not None:
        found = without_images(found, out)
        rows[f'without {len(out):,}'] = scores.scores(found)
    classes = by_class(found, names)[: options.classes]
    pairs = confusions(found, names)[: options.confusions]
    if options.format == 'json':
        return json.dumps(
            {
                'about': found.about,
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
    tables = [write(COLUMNS, [_row(name, row) for name, row in rows.items()])]
    if (lost := found.about.get('unreadable')) and options.format == 'md':
        tables.append(f'{lost:,} images cannot be read and do not count.')
    if classes:
        head = ('class', 'images', 'top-1 error', 'top-5 error', 'mistaken for')
        cells = [(c[0], c[1], f'{c[2]:.1f}', f'{c[3]:.1f}', c[4]) for c in classes]
        tables.append(write(head, cells))
    if pairs:
        tables.append(write(('class', 'answer', 'images'), pairs))
    return '\n\n'.join(tables)


def _row(name: str, row) -> tuple:
    cells = [
        cell
        for one in (row.top_1, row.top_5)
        for cell in (f'{one.error:.2f}', f'{one.low:.2f} to {one.high:.2f}')
    ]
    return (name, row.images, *cells)


def _csv(head, rows) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator='\n').writerows([head, *rows])
    return file.getvalue().rstrip('\n')
