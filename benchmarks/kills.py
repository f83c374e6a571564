"""Kills a run at random moments and compares it with an uninterrupted run.

Command   python benchmarks/kills.py --kills 51 --epochs 10
Cost      half a minute to a minute a kill on 2 CPU cores (3 kills: 141 s; 51: an hour)
Expected  every restart resumes; in the end parameters, EMA weights, optimizer state and
          position in the data are bit-identical, and no record is missing or repeated

The signal is SIGKILL, so the process cannot clean up. A third of the kills come while
the process starts, a third while it trains, a third while it writes a checkpoint.
"""

import argparse
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from inception_jax.lab.replay import CLOCKS
from inception_jax.runs.records import read_records
from inception_jax.training import resume
from inception_jax.training.states import open_run

ROOT = Path(__file__).parent.parent

# A small network with checkpoints and records as often as possible.
FIELDS = {
    'network.width': 0.1,
    'network.depth': 0.01,
    'run.batch_size': 16,
    'run.log_every_steps': 7,
    'run.evaluate_every_epochs': 5,
    'run.checkpoint_every_epochs': 0.2,
    'run.diagnose_every_steps': 40,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--epochs', type=float, default=40.0)
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the moments (default: 0)'
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed, whole = Path(folder, 'killed'), Path(folder, 'whole')
        kinds = campaign(killed, options)
        if start(killed, options.epochs).wait() or start(whole, options.epochs).wait():
            print('a run failed')
            return 1
        counts = ', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))
        print(f'{sum(kinds.values())} kills survived: {counts}')
        differences = compare(killed, whole)
    for difference in differences:
        print(f'differs: {difference}')
    if not differences:
        print('the run is bit-identical to an uninterrupted run, with the same records')
    return 1 if differences or sum(kinds.values()) < options.kills else 0


def campaign(workdir: Path, options: argparse.Namespace) -> collections.Counter:
    """Starts and kills a run `options.kills` times, or until it has ended."""
    chance, kinds = random.Random(options.seed), collections.Counter()
    moments = {
        'while it started': wait_for_start,
        'while it trained': wait_for_training,
        'while it saved': wait_for_saving,
    }
    for number in range(options.kills):
        kind = list(moments)[number % len(moments)]
        process = start(workdir, options.epochs)
        moments[kind](process, workdir, chance)
        if process.poll() is not None:
            reason = 'raise --epochs' if process.returncode == 0 else 'it failed'
            print(f'the run ended after {sum(kinds.values())} kills; {reason}')
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kinds[kind] += 1
        step = max([0, *(r['step'] for r in read_records(workdir))])
        print(f'kill {number + 1} {kind}: recorded up to step {step}', flush=True)
    return kinds


def start(workdir: Path, epochs: float) -> subprocess.Popen:
    fields = FIELDS | {'run.epochs': epochs}
    return subprocess.Popen(
        [
            *(sys.executable, '-m', 'inception_jax', 'train'),
            f'--config={ROOT / "configs" / "quickstart.py"}',
            f'--workdir={workdir}',
            *(f'--config.{name}={value}' for name, value in fields.items()),
        ],
        env=os.environ | {'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
        stdout=subprocess.DEVNULL,
    )


def wait_for_start(_: subprocess.Popen, __: Path, chance: random.Random) -> None:
    time.sleep(chance.uniform(0.0, 6.0))


def wait_for_training(
    process: subprocess.Popen, workdir: Path, chance: random.Random
) -> None:
    before = _size(workdir)
    _wait(process, lambda: _size(workdir) > before)
    time.sleep(chance.uniform(0.0, 1.0))


def wait_for_saving(
    process: subprocess.Popen, workdir: Path, chance: random.Random
) -> None:
    before, left = _size(workdir), _drafts(workdir)
    _wait(process, lambda: _size(workdir) > before)
    _wait(process, lambda: _drafts(workdir) - left)
    time.sleep(chance.uniform(0.0, 0.1))


def _drafts(workdir: Path) -> set[Path]:
    return set(workdir.glob('checkpoints/*tmp*'))


def _size(workdir: Path) -> int:
    path = workdir / 'metrics.jsonl'
    return path.stat().st_size if path.exists() else 0


def _wait(process: subprocess.Popen, ready: Callable) -> None:
    while process.poll() is None and not ready():
        time.sleep(0.002)


def compare(first: Path, second: Path) -> list[str]:
    """Lists the parts in which two finished runs differ."""
    differences = []
    records = [
        [{n: x for n, x in r.items() if n not in CLOCKS} for r in read_records(folder)]
        for folder in (first, second)
    ]
    if records[0] != records[1]:
        differences.append('records')
    lines = (first / 'metrics.jsonl').read_text().splitlines()
    if len(lines) != len({json.dumps(_split_and_step(line)) for line in lines}):
        differences.append('records are repeated')
    states = [resume.newest_checkpoint(open_run(folder)) for folder in (first, second)]
    for name in vars(states[0]):
        pair = [jax.tree.leaves(getattr(state, name)) for state in states]
        if not all(map(_same, *pair)):
            differences.append(name)
    return differences


def _split_and_step(line: str) -> tuple:
    record = json.loads(line)
    return record['split'], record['step']


def _same(x: jax.Array, y: jax.Array) -> bool:
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        x, y = jax.random.key_data(x), jax.random.key_data(y)
    return np.asarray(x).tobytes() == np.asarray(y).tobytes()


if __name__ == '__main__':
    sys.exit(main())
