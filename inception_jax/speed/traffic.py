"""What a program for TPUs moves to and from main memory, told by its compiled text.

XLA's own figure, `bytes accessed`, also counts what passes the memory on the chip, and
what is fetched there in pieces it counts whole with each piece. Here an array counts
where it is read or written in main memory, with what pads its tiles. An operation that
reads or writes a part of an array counts as if it were all, and a loop as if it ran
once.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

ARRAY = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\](?:\{([\d,]*)(?::([^}]*))?\})?')
TILE = re.compile(r'T\((\d+),(\d+)\)')
ON_CHIP = re.compile(r'S\([1-9]\d*\)')
LINE = re.compile(r'\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z\-]*)\((.*)$')
SOURCE = re.compile(r'op_name="([^"]*)"')

# What only names, or ends what was counted where it started.
NOTHING = ('parameter', 'tuple', 'get-tuple-element', 'bitcast', 'constant')


class Transfer(NamedTuple):
    """The bytes that an operation moves, and what it comes from in our source."""

    bytes: int
    name: str
    result: str
    source: str


def memory_transfers(program: str) -> Iterator[Transfer]:
    """Yields the operations of a program's entry that move anything."""
    results: dict[str, str] = {}
    entry = program[program.index('\nENTRY') :]
    for line in entry.splitlines():
        if not (found := LINE.match(line)):
            continue
        name, result, kind, rest = found.groups()
        results[name] = result
        operands = re.findall(r'%([\w.\-]+)', rest.partition('), ')[0])
        read = ' '.join(results.get(one, '') for one in dict.fromkeys(operands))
        if size := _bytes(kind, result, read):
            source = SOURCE.search(rest)
            yield Transfer(size, name, result, source[1] if source else '')


def main_memory(program: str) -> int:
    """Returns the bytes that all operations of a program move."""
    return sum(operation.bytes for operation in memory_transfers(program))


def _bytes(kind: str, result: str, read: str) -> int:
    if kind in NOTHING or kind.endswith('-done'):
        return 0
    if kind in ('copy-start', 'slice-start'):
        return _copied(kind, result)
    return _in_main_memory(result) + _in_main_memory(read)


def _copied(kind: str, result: str) -> int:
    """Returns what a copy moves: its arrays are where to and where from, a part's
    the other way round.
    """
    first, second, *_ = ARRAY.finditer(result)
    to = first if kind == 'copy-start' else second
    return _size(to) * sum(not _is_on_chip(end) for end in (first, second))


def _in_main_memory(shapes: str) -> int:
    return sum(_size(a) for a in ARRAY.finditer(shapes) if not _is_on_chip(a))


def _is_on_chip(array: re.Match) -> bool:
    return bool(ON_CHIP.search(array[5] or ''))


def _size(array: re.Match) -> int:
    """Returns the bytes of an array, the minor two dimensions in whole tiles."""
    sides = [int(n) for n in array[3].split(',') if n]
    order = [int(n) for n in (array[4] or '').split(',') if n]
    if len(order) > 1 and (tile := TILE.search(array[5] or '')):
        for dimension, side in zip(order[:2], (tile[2], tile[1]), strict=True):
            sides[dimension] = -(-sides[dimension] // int(side)) * int(side)
    return math.prod(sides) * max(1, int(array[2] or 8) // 8)
