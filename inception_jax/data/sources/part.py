"""Parts of a split: train[:80%], train[100:], as in TFDS."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from inception_jax.runtime.amounts import counted

PART = re.compile(r'(?P<name>[^\[\]]*)\[(?P<start>[^:]*):(?P<stop>[^:]*)\]')
BOUND = re.compile(r'(-?\d+)(%?)')


class Part(NamedTuple):
    """A part of a split: its name and the two bounds, '' for the first or last image.

    A bound is a number of images or a percentage. A negative bound counts from the end.
    """

    name: str
    start: str
    stop: str


def parse_part(split: str) -> Part | None:
    """Returns the part of NAME[START:STOP], or None for a split without bounds.

    >>> parse_part('train[:80%]')
    Part(name='train', start='', stop='80%')
    """
    match = PART.fullmatch(split)
    return Part(**match.groupdict()) if match else None


def part_indices(part: Part, labels: Sequence[int]) -> list[int]:
    """Returns the indices of the images of a part, in order.

    Parts are stratified: [:80%] has the first 80 percent of each class, and [80%:] has
    the rest. Images are counted in an order in which all classes advance at the same
    rate.

    Raises:
      ValueError: a bound is not a number of images or percent, or the part is empty.

    >>> part_indices(Part('train', '', '50%'), [0, 0, 0, 0, 1, 1])
    [0, 1, 4]
    """
    count, sizes, placed = len(labels), Counter(labels), defaultdict(int)
    places = []
    for index, label in enumerate(labels):
        # The half puts the image of a class with one image in the middle.
        places.append(((placed[label] + 0.5) / sizes[label], label, index))
        placed[label] += 1
    first, last = _index(part, part.start or '0', count), count
    if part.stop:
        last = _index(part, part.stop, count)
    if first >= last:
        raise ValueError(
            f'{_text(part)} is empty: images {first:,} to {last:,} of {count:,}'
        )
    return sorted(index for _, _, index in sorted(places)[first:last])


def _index(part: Part, bound: str, count: int) -> int:
    match = BOUND.fullmatch(bound.strip())
    if match is None:
        raise ValueError(
            f'{_text(part)}: {bound!r} is not a number of images or percent; write '
            f'e.g. {part.name}[:80%] or {part.name}[100:]'
        )
    number, percent = int(match[1]), match[2]
    index = round(number * count / 100) if percent else number
    index = index + count if number < 0 else index
    if not 0 <= index <= count:
        raise ValueError(
            f'{_text(part)}: {bound} is outside of the {counted(count, "image")} of '
            f'{part.name}'
        )
    return index


def _text(part: Part) -> str:
    return f'{part.name}[{part.start}:{part.stop}]'
