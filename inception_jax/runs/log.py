"""The output of a run while it trains: records, TensorBoard events, lines."""

import math
from collections.abc import Iterator
from pathlib import Path

from tensorboardX import SummaryWriter
from tqdm import tqdm

from inception_jax.runs.records import Record, read_records, record_line, write_records


class Log:
    """Writes the records of a run to metrics.jsonl and as TensorBoard events.

    A log that is opened at `step` drops the records of later steps, because the resumed
    run makes these steps again.
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
