"""The output of a run while it trains: records, TensorBoard events, lines."""

import math
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from inception_jax.runs.records import Record, add_record, read_records, start_records
from inception_jax.runs.tensorboard import Board


class Log:
    """Writes the records of a run to metrics.jsonl and as TensorBoard events.

    A log that is opened at `step` drops the records of later steps, because the resumed
    run makes these steps again.
    """

    def __init__(self, folder: Path, *, step: int):
        self._folder = folder
        kept = [r for r in read_records(folder) if r['step'] <= step]
        self._checksum = start_records(folder, kept)
        self._board = Board(folder, step=step + 1)

    def write(self, split: str, record: Record) -> None:
        """Adds a record of `train`, `evaluation` or `diagnostics`."""
        record = {'split': split} | record
        self._checksum = add_record(self._folder, record, self._checksum)
        numbers = [
            (f'{split}/{name}', value)
            for name, value in _scalars(record)
            if name not in ('split', 'step') and math.isfinite(value)
        ]
        self._board.add(numbers, record['step'])

    def close(self) -> None:
        self._board.close()


def _scalars(record: Record) -> Iterator[tuple[str, float]]:
    """Yields the numbers of a record by name; numbers of a block as `name/block`."""
    for name, value in record.items():
        if isinstance(value, list) and name != 'blocks':
            pairs = zip(record['blocks'], value, strict=True)
            yield from ((f'{name}/{block}', number) for block, number in pairs)
        elif name != 'blocks':
            yield name, value


def record_text(split: str, record: Record) -> str:
    """Returns a record of `train` or `evaluation` as a line for the console."""
    parts = [f'step {record["step"]:>6,}', f'epoch {record["epoch"]:6.2f}']
    if split == 'evaluation':
        parts.append('evaluation')
    parts += [
        f'cross-entropy {record["cross_entropy"]:.3f}',
        f'top-1 error {record["top_1_error"]:5.1f} %',
    ]
    if 'images_per_second' in record:
        left = tqdm.format_interval(record['seconds_left'])
        parts.append(f'{record["images_per_second"]:.0f} images/s')
        parts.append(f'{left} left')
    return '  '.join(parts)
