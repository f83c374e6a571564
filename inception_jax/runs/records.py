"""The records of a run: rows of metrics, one line of JSON each in metrics.jsonl.

A record belongs to a split: `train` (means over the steps since the last record),
`evaluation` or `diagnostics`. Lists in a record have one number per block, in the order
of its `blocks`.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.runtime.files import write_text

Record = dict[str, Any]
SPLITS = ('train', 'evaluation', 'diagnostics')


def read_records(folder: Path, split: str | None = None) -> list[Record]:
    """Returns the records of a run in their order, of one split or of all.

    The last line of a killed run may be cut short. It is left out, because the resumed
    run writes it again.

    Raises:
      ValueError: another line is not a record.
    """
    path = folder / 'metrics.jsonl'
    lines = path.read_text().splitlines() if path.exists() else []
    return [r for r in _parsed(lines) if split in (None, r['split'])]


def _parsed(lines: Sequence[str]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            yield record | {'split': record['split'], 'step': record['step']}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            if number < len(lines):
                raise ValueError(
                    f'line {number} of metrics.jsonl is not a record; remove the line'
                ) from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Writes records into a file atomically."""
    write_text(path, ''.join(map(record_line, records)))


def record_line(record: Record) -> str:
    """Returns a record as a line of strict JSON; numbers that are not finite are null.

    >>> record_line({'step': 3, 'loss': float('nan')})
    '{"step": 3, "loss": null}\\n'
    """
    return json.dumps({name: _finite(value) for name, value in record.items()}) + '\n'


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(number) for number in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def record_columns(records: Iterable[Record]) -> dict[str, np.ndarray]:
    """Returns records of one split as a table: equally long columns by name.

    A record of diagnostics gives one row per block: `block` is the name of the block,
    and the numbers of the whole network repeat in each row. A missing number, and one
    that was not finite, is nan.

    >>> record = {'split': 'diagnostics', 'step': 5, 'nats': 2.0}
    >>> record |= {'blocks': ['stem', 'a_1'], 'zero_share': [0.1, 0.4]}
    >>> columns = record_columns([record])
    >>> columns['step'].tolist(), columns['block'].tolist()
    ([5, 5], ['stem', 'a_1'])
    >>> columns['zero_share'].tolist(), columns['nats'].tolist()
    ([0.1, 0.4], [2.0, 2.0])
    """
    rows = [row for record in records for row in _rows(record)]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _column([row.get(name) for row in rows]) for name in names}


def _rows(record: Record) -> Iterator[Record]:
    """Yields a record without its split, as one row or as one row per block."""
    record = {name: value for name, value in record.items() if name != 'split'}
    if 'blocks' not in record:
        yield record
        return
    blocks = record.pop('blocks')
    for i, block in enumerate(blocks):
        by_name = {n: x[i] if isinstance(x, list) else x for n, x in record.items()}
        yield {'step': by_name.pop('step'), 'block': block} | by_name


def _column(values: list) -> np.ndarray:
    """Returns integers, floats with nan for None, or strings as an array."""
    if all(value is None or isinstance(value, int | float) for value in values):
        return np.array([math.nan if value is None else value for value in values])
    return np.array(values, object)
