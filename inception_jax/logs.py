"""What a run writes and shows while it goes on."""

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from tensorboardX import SummaryWriter
from tqdm import tqdm

from inception_jax.runtime.files import in_one_piece
from inception_jax.runtime.memory import COMPILED

Record = dict[str, Any]


class Log:
    """The records of a run: lines of JSON in metrics.jsonl, and TensorBoard events.

    Opened anew at `step`, it drops the records of later steps, which will come again.
    """

    def __init__(self, folder: Path, *, step: int):
        self.path = folder / 'metrics.jsonl'
        save(self.path, [r for r in read(folder) if r['step'] <= step])
        self._board = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, split: str, record: Record) -> None:
        """Adds a record of `train`, `evaluation` or `diagnostics`."""
        with self.path.open('a') as file:
            file.write(line({'split': split} | record))
        for name, value in _scalars(record):
            if name != 'step' and math.isfinite(value):
                self._board.add_scalar(f'{split}/{name}', value, record['step'])

    def close(self) -> None:
        self._board.close()


def save(path: Path, records: list[Record]) -> None:
    """Writes records into a file in one piece."""
    with in_one_piece(path) as draft:
        draft.write_text(''.join(map(line, records)))


def read(folder: Path, split: str | None = None) -> list[Record]:
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


def line(record: Record) -> str:
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


def text(split: str, record: Record) -> str:
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


class Progress:
    """A bar with rate and time left on a terminal, plain lines elsewhere.

    Rates leave out the first step, which compiles, and all between a record and
    `restart`. What comes before it is counted from `began`, else from now. Without
    `lines` only the bar is shown.
    """

    def __init__(
        self,
        total: int,
        done: int,
        images_per_step: int,
        *,
        lines: bool,
        began: float | None = None,
    ):
        self._bar = tqdm(
            total=total * images_per_step,
            initial=done * images_per_step,
            unit=' images',
            unit_scale=True,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self._images, self._left = images_per_step, total - done
        self._lines = lines
        self._compiled, self._compiling = False, 0.0
        self.restart()
        self._start = self._began if began is None else began

    def step(self) -> None:
        """Is told of a step before it is made; the first is silent for long."""
        if not self._compiled:
            self.say('compiling the train step ...')
            jax.monitoring.register_event_duration_secs_listener(self._heard)

    def advance(self, result: Any) -> None:
        """Counts a step; waits for the first one only."""
        self._bar.update(self._images)
        self._left -= 1
        if not self._compiled:
            jax.block_until_ready(result)
            jax.monitoring.unregister_event_duration_listener(self._heard)
            self.say(
                f'first step after {time.monotonic() - self._start:.1f} s '
                f'(compiled in {self._compiling:.1f} s)'
            )
            self._compiled = True
            self.restart()
        else:
            self._steps += 1

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        if event == COMPILED:
            self._compiling += seconds

    def restart(self) -> None:
        self._steps, self._began = 0, time.monotonic()

    def rate(self) -> dict[str, float]:
        """Returns images per second and seconds left, or nothing before two steps."""
        if not self._steps:
            return {}
        each = (time.monotonic() - self._began) / self._steps
        return {
            'images_per_second': self._images / each,
            'seconds_left': each * self._left,
        }

    def say(self, text: str) -> None:
        """Prints a line without breaking the bar."""
        if self._lines:
            self._bar.write(text)

    def close(self) -> None:
        self._bar.close()
