"""The main-memory traffic of a TPU program, in bytes, read from its compiled text.

XLA's own figure, `bytes accessed`, also counts transfers within on-chip memory, and
counts an array that is fetched in pieces once per piece. Here an array counts where it
is read from or written to main memory, with the padding of its tiles. An operation
counts an array whole, even if it reads or writes a part of it. A loop counts as one
iteration.
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

# Operations that move nothing.
NOTHING = ('parameter', 'tuple', 'get-tuple-element', 'bitcast', 'constant')


class Transfer(NamedTuple):
    """The bytes that an operation moves between main memory and the chip.

    `result` is the shape of its result, `source` its origin in our source, if known.
    """

    bytes: int
    name: str
    result: str
    source: str


def memory_transfers(program: str) -> Iterator[Transfer]:
    """Yields the operations of a program's entry computation that move any bytes.

    `program` is the compiled text, as `compiled.as_text()` returns it.
    """
    results: dict[str, str] = {}
    entry = program[program.index('\nENTRY') :]
    for line in entry.splitlines():
        if not (match := LINE.match(line)):
            continue
        name, result, kind, rest = match.groups()
        results[name] = result
        operands = re.findall(r'%([\w.\-]+)', rest.partition('), ')[0])
        read = ' '.join(results.get(operand, '') for operand in dict.fromkeys(operands))
        if size := _bytes(kind, result, read):
            source = SOURCE.search(rest)
            yield Transfer(size, name, result, source[1] if source else '')


def main_memory(program: str) -> int:
    """Returns the bytes that all operations of a program move together."""
    return sum(operation.bytes for operation in memory_transfers(program))


def _bytes(kind: str, result: str, read: str) -> int:
    if kind in NOTHING or kind.endswith('-done'):
        return 0
    if kind in ('copy-start', 'slice-start'):
        return _copied(kind, result)
    return _in_main_memory(result) + _in_main_memory(read)


def _copied(kind: str, result: str) -> int:
    """Returns the bytes that a copy moves.

    A copy-start lists its destination first, a slice-start its source.
    """
    first, second, *_ = ARRAY.finditer(result)
    to = first if kind == 'copy-start' else second
    return _size(to) * sum(not _is_on_chip(end) for end in (first, second))


def _in_main_memory(shapes: str) -> int:
    return sum(_size(a) for a in ARRAY.finditer(shapes) if not _is_on_chip(a))


def _is_on_chip(array: re.Match) -> bool:
    return bool(ON_CHIP.search(array[5] or ''))


def _size(array: re.Match) -> int:
    """Returns the bytes of an array, its two minor dimensions padded to whole tiles."""
    sides = [int(n) for n in array[3].split(',') if n]
    order = [int(n) for n in (array[4] or '').split(',') if n]
    if len(order) > 1 and (tile := TILE.search(array[5] or '')):
        for dimension, side in zip(order[:2], (tile[2], tile[1]), strict=True):
            sides[dimension] = -(-sides[dimension] // int(side)) * int(side)
    return math.prod(sides) * max(1, int(array[2] or 8) // 8)
