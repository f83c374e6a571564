"""Hostile lists of labels: every odd name, in every form in which lists are written."""

import csv
import io
import itertools
from collections.abc import Iterator
from typing import NamedTuple

CLASSES = (
    'tiger',
    'tiger shark',
    'great white shark',
    'shark',
    'n01440764',
    '7',
    'a 7',
    'caf\u00e9',
    "lady's slipper",
    'bell, chime',
    '"quoted"',
    'C++ (old)',
)
IMAGES = ('1.png', 'my photo.JPEG', 'a 7.png', 'x,y.jpg', 'e\u0301.tif', 'v.1.png')
# No class, or only a part of one.
WRONG = (
    'tiger cub',
    'great white',
    'Tiger',
    '12',
    '-1',
    '',
    'tiger shark fin',
    'n0144',
)


class LabelList(NamedTuple):
    """The ending and the text of a list, and the class of each of `IMAGES`."""

    ending: str
    text: str
    classes: tuple[str, ...]


def csv_text(rows) -> str:
    """Returns rows as a CSV file."""
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue()


def whole_lists() -> Iterator[LabelList]:
    """Yields lists in which each image has a class that exists."""
    for shift in range(len(CLASSES)):
        classes = tuple(
            CLASSES[(number + shift) % len(CLASSES)] for number in range(len(IMAGES))
        )
        pairs = list(zip(IMAGES, classes, strict=True))
        for head, order in itertools.product(
            ([], [('ImageId', 'PredictionString')]), (pairs, pairs[::-1])
        ):
            yield LabelList('.csv', csv_text(head + order), classes)
        boxes = [(image, f'{name} 85 1 499 272') for image, name in pairs]
        yield LabelList('.csv', csv_text(boxes), classes)
        for gap, line_end in itertools.product((' ', '\t', ','), ('\n', '\r\n')):
            lines = (f'{image}{gap}{name}{line_end}' for image, name in pairs)
            yield LabelList('.txt', ''.join(lines), classes)
        yield LabelList('.txt', '\ufeff' + '\n'.join(in_order(pairs)), classes)


def in_order(pairs) -> list[str]:
    """Returns the classes in the order of the names of the images."""
    return [name for _, name in sorted(pairs)]


def broken_lists() -> Iterator[LabelList]:
    """Yields lists of which one line has no image, no class, or a part of a class."""
    pairs = [(image, 'tiger') for image in IMAGES]
    for number, name in itertools.product(
        range(len(IMAGES)),
        WRONG,
    ):
        image = IMAGES[number]
        lines = [*pairs[:number], (image, name), *pairs[number + 1 :]]
        yield LabelList('.csv', csv_text(lines), ())
        yield LabelList('.txt', '\n'.join(map(' '.join, lines)), ())
    for lines in (pairs[1:], pairs + pairs[:1], [*pairs, ('z.png', 'tiger')]):
        yield LabelList('.csv', csv_text(lines), ())
        yield LabelList('.txt', '\n'.join(map(' '.join, lines)), ())
