"""What a run writes and shows while it goes on."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter
from tqdm import tqdm

from inception_jax.runtime.files import write_atomically

Record = dict[str, Any]


class Log:
    """The records of a run: lines of JSON in metrics.jsonl, and TensorBoard events.

    Opened anew at `step`, it drops the records of later steps, which will come again.
    """

    def __init__(self, folder: Path, *, step: int):
        self.path = folder / 'metrics.jsonl'
        write_records(self.path, [r for r in read_records(folder) if r['step'] <= step])
        self._board = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, split: str, record: Record) -> None:
        """Adds a record of `train`, `evaluation` or `diagnostics`."""
        with self.path.open('a') as file:
            file.write(record_line({'split': split} | record))
        for name, value in _scalars(record):
            if name != 'step' and math.isfinite(value):
                self._board.add_scalar(f'{split}/{name}', value, record['step'])

    def close(self) -> None:
        self._board.close()


def write_records(path: Path, records: list[Record]) -> None:
    """Writes records into a file in one piece."""
    with write_atomically(path) as draft:
        draft.write_text(''.join(map(record_line, records)))


def read_records(folder: Path, split: str | None = None) -> list[Record]:
    """Returns the records of a run, of one split or of all, in their order.

    Raises:
      ValueError: a line other than the last is not a record.
    """
    path = folder / 'metrics.jsonl'
    lines = path.read_text().splitlines() if path.exists() else []
    records = list(_parsed(lines))
    return [r for r in records if split in (None, r['split'])]


def _parsed(lines: list[str]) -> Iterator[Record]:
    for number, one in enumerate(lines, 1):
        try:
            record = json.loads(one)
            yield record | {'split': record['split'], 'step': record['step']}
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            # The last line of a killed run may be cut short; its step comes again.
            if number < len(lines):
                raise ValueError(
                    f'line {number} of metrics.jsonl is not a record; remove the line'
                ) from error


def record_line(record: Record) -> str:
    """Returns a line of strict JSON: null for what is not finite."""
    return json.dumps({name: _finite(value) for name, value in record.items()}) + '\n'


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scalars(record: Record) -> Iterator[tuple[str, float]]:
    """Yields the numbers of a record; lists are by block, in the order of `blocks`."""
    for name, value in record.items():
        if isinstance(value, list) and name != 'blocks':
            pairs = zip(record['blocks'], value, strict=True)
            yield from ((f'{name}/{block}', number) for block, number in pairs)
        elif name != 'blocks':
            yield name, value


def record_text(split: str, record: Record) -> str:
    """Returns a record as a line for people."""
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
