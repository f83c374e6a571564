"""data-check: reads every image of a source once and reports on them."""

import argparse
import json
from collections.abc import Callable

from inception_jax.commands.shared.cli import (
    add_data_dir,
    add_format,
    image_progress,
    print_now,
    refuse_arguments,
)
from inception_jax.runtime.amounts import counted

HELP = 'read all images of a data set and report counts and faults'
DETAILS = (
    'The report has class counts, sizes, formats, unreadable images, ignored files '
    'and duplicates, also across splits. An image in both splits makes an evaluation '
    'too optimistic. The exit status is 1 if train would refuse the splits: an image '
    'cannot be read, a label is no class, or the splits have different classes.'
)
# The report counts the images of so many classes by name.
MOST_CLASSES = 20
EXAMPLES = (
    '--source digits --split train --split test',
    '--source folder:photos --split train --split val --format json',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('the images')
    group.add_argument(
        '--source',
        required=True,
        help='data set to read, as in config.data.source: digits, folder:PATH, '
        'tfds:NAME or synthetic (required)',
    )
    group.add_argument(
        '--split',
        action='append',
        metavar='NAME',
        help='split of the data set, e.g. train; may be repeated (default: the '
        'class folders at the top of a folder; other data sets need a split)',
    )
    add_data_dir(group)
    group = parser.add_argument_group('the output')
    add_format(group, 'text', 'json', of='report')


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Checks the splits of a source."""
    refuse_arguments(rest)
    from inception_jax.data.audit import audit
    from inception_jax.data.sources.open import open_source

    sources = {
        split or 'all': open_source(options.source, split, data_dir=options.data_dir)
        for split in options.split or [None]
    }

    def work() -> int:
        progress = image_progress(sum(map(len, sources.values())))
        report = audit(sources, progress)
        print_now(_json(report) if options.format == 'json' else _table(report))
        return 1 if report.unreadable or report.problems else 0

    return work


def _json(report) -> str:
    splits = {name: split._asdict() for name, split in report.splits.items()}
    return json.dumps(report._asdict() | {'splits': splits})


def _table(report) -> str:
    lines = []
    for name, split in report.splits.items():
        lines.append(f'{name}: {counted(split.images, "image")}')
        lines += [f'  {line}' for line in _split_lines(split)]
    groups = counted(len(report.duplicates), 'group')
    lines.append(f'duplicates: {groups} of images with the same content')
    for group in report.duplicates[:20]:
        lines.append('  ' + ', '.join(f'{split} {name}' for split, name in group))
    lines.append(f'unreadable: {counted(len(report.unreadable), "image")}')
    lines += [
        f'  {split} {name}: {reason}' for split, name, reason in report.unreadable
    ]
    lines += [f'train refuses the splits: {problem}' for problem in report.problems]
    return '\n'.join(lines)


def _class_counts(classes) -> str:
    """Returns the names of the first classes with their numbers of images."""
    shown = [f'{name}: {count:,}' for name, count in classes.items()][:MOST_CLASSES]
    rest = len(classes) - len(shown)
    more = f', and {counted(rest, "more class", "more classes")}' if rest else ''
    return f'{", ".join(shown)}{more}'


def _split_lines(split) -> list[str]:
    counts = split.classes.values()
    empty = [name for name, count in split.classes.items() if not count]
    classes = counted(len(counts), 'class', 'classes')
    smallest, largest = min(counts), max(counts)
    least = '' if smallest == largest else f'{smallest:,} to '
    each = ' each' if len(counts) > 1 else ''
    lines = [
        f'{classes} with {least}{counted(largest, "image")}{each}',
        _class_counts(split.classes),
    ]
    if empty:
        more = ', ...' if len(empty) > 5 else ''
        classes = counted(len(empty), 'class', 'classes')
        lines.append(f'{classes} without images: {", ".join(empty[:5])}{more}')
    if split.heights:
        for side, (smallest, median, largest) in (
            ('height', split.heights),
            ('width', split.widths),
        ):
            lines.append(f'{side} {smallest:,} to {largest:,}, median {median:,.0f}')
    lines.append(', '.join(f'{count:,} {kind}' for kind, count in split.kinds.items()))
    return [*lines, *split.notes]
