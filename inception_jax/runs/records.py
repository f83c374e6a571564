"""The records of a run: rows of metrics, one line of JSON each in metrics.jsonl.

A record belongs to a split: `train` (means over the steps since the last record),
`evaluation` or `diagnostics`. Lists in a record have one number per block, in the order
of its `blocks`.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inception_jax.runs.checksum_file import (
    CHECKSUMS,
    METRICS,
    add_checksum,
    check_records,
    read_checksums,
    running_checksum,
    start_checksums,
)
from inception_jax.runs.workdir import LINEAGE, VERDICT
from inception_jax.runtime.files import open_no_link, write_text
from inception_jax.runtime.json_files import misfit, parse_json

Record = dict[str, Any]
SPLITS = ('train', 'evaluation', 'diagnostics')

# The fields that the records of a split have in all versions.
NUMBER = float | None
FIELDS = {
    'train': {'epoch': float, 'cross_entropy': NUMBER, 'top_1_error': NUMBER},
    'evaluation': {
        'epoch': float,
        'cross_entropy': NUMBER,
        'top_1_error': NUMBER,
        'top_5_error': NUMBER,
    },
    'diagnostics': {'epoch': float, 'blocks': list[str]},
}


def read_records(folder: Path, split: str | None = None) -> list[Record]:
    """Returns the records of a run in their order, of one split or of all.

    The last line of a killed run may be cut short. It is left out, because the resumed
    run writes it again.

    Raises:
      ValueError: another line is not a record, or the records are not those that the
        run wrote.
    """
    # The checksums first: a run that is training adds records before their checksums.
    checksums = read_checksums(folder, METRICS)
    lines = _lines(folder / METRICS)
    records = list(_parsed(folder / METRICS, lines))
    if lines and not lines[-1].endswith(b'\n') and not (folder / VERDICT).exists():
        # The line that a killed run, or a machine without power, left unfinished.
        checksums = checksums[: len(lines) - 1]
        lines = lines[:-1]
    check_records(folder, lines, checksums)
    return [r for r in records if split in (None, r['split'])]


def read_unverified_records(folder: Path, split: str | None = None) -> list[Record]:
    """Returns the records of a run, which may have changed since the run wrote them.

    It serves commands that compute the records again and compare them.

    Raises:
      ValueError: a line is not a record.
    """
    path = folder / METRICS
    return [r for r in _parsed(path, _lines(path)) if split in (None, r['split'])]


def read_record_file(path: Path) -> list[Record]:
    """Returns the records of a file that is no metrics.jsonl, as of a replay.

    Raises:
      ValueError: a line is not a record.
    """
    return list(_parsed(path, _lines(path)))


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _parsed(path: Path, lines: Sequence[bytes]) -> Iterator[Record]:
    last = 0
    for number, line in enumerate(lines, 1):
        try:
            record = parse_json(line)
            reason = record_misfit(record)
        except ValueError:
            reason = 'it is not JSON'
        if reason is None and record['step'] < last:
            reason = f'its step {record["step"]} comes after step {last}'
        if reason is None:
            last = record['step']
            yield record
        elif number < len(lines) or line.endswith(b'\n'):
            raise ValueError(
                f'{path.parent}: line {number} of {path.name} is not a record '
                f'({reason}); remove the line'
            )


def record_misfit(record: Any) -> str | None:
    """Returns the reason why a value is not a record, None if it is one."""
    if reason := misfit(record, {'split': Literal[SPLITS], 'step': int}):
        return reason
    others = {
        name: list[NUMBER] if isinstance(value, list) else NUMBER
        for name, value in record.items()
        if name not in ('split', 'step', 'blocks')
    }
    if reason := misfit(record, FIELDS[record['split']], others):
        return reason
    lengths = {len(value) for value in record.values() if isinstance(value, list)}
    if len(lengths) > 1:
        return 'its lists have different lengths'
    if lengths and 'blocks' not in record:
        return 'it has lists and no blocks'
    return 'its step is negative' if record['step'] < 0 else None


def start_records(folder: Path, records: Iterable[Record]) -> int:
    """Writes the records of a run and their checksums anew.

    Returns:
      The running checksum of the records, for `add_record`.
    """
    lines = list(map(record_line, records))
    # A run that is killed meanwhile has no checksums, as runs of older versions.
    (folder / CHECKSUMS).unlink(missing_ok=True)
    write_text(folder / METRICS, ''.join(lines))
    return start_checksums(folder, lines, [LINEAGE])


def add_record(folder: Path, record: Record, checksum: int) -> int:
    """Adds a record to a run; takes and returns the running checksum."""
    line = record_line(record)
    with open_no_link(folder / METRICS, 'a') as file:
        file.write(line)
        # After a loss of power there may be records without checksums, never the other
        # way round.
        file.flush()
        os.fsync(file.fileno())
    checksum = running_checksum(line, checksum)
    add_checksum(folder, checksum)
    return checksum


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
