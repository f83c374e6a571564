"""Measures the seven networks, each beside timm's where there is one.

Command   python benchmarks/networks.py OUTPUT [--dtype bfloat16] [--batch-size 256] \\
              [--peer-python PYTHON]
Needs     pip install torch timm, here or in an environment of its own; of ours only
          jax, flax, optax and numpy
Cost      on a GPU about five minutes a network; on 2 CPU cores, with --batch-size 8
          --dtype float32, about ten
Writes    OUTPUT/ROW.json, what the benchmark command tells of each row, and
          OUTPUT/networks.md, a table of all rows that are there

The batch of a row is --batch-size halved until both sides fit the memory: each try is
the command itself, in processes of its own, training first. Rows that are there are
not measured again.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from inception_jax.commands.benchmark_tables import GIB
from inception_jax.commands.lines import table

# The networks of the paper, then the released ones; with the nearest that timm has.
NETWORKS = {
    'inception_v3': True,
    'inception_v4': True,
    'inception_resnet_v1': True,
    'inception_resnet_v2': True,
    'inception_v4_slim': True,
    'inception_resnet_v2_slim': True,
    'inception_resnet_v1_facenet': False,
}

# Each network is measured once with each list of further flags of the command.
EXTRA: list[list[str]] = [[]]

MEMORY = re.compile(r'memory|RESOURCE_EXHAUSTED', re.IGNORECASE)
COLUMNS = (
    *('network', 'flags', 'batch', 'part', 'images/s', "timm's", 'ours / timm'),
    *('of a matrix product', 'peak, GiB', "timm's", 'start-up, s', "timm's"),
)


def flags_of(network: str, extra: Sequence[str], options) -> list[str]:
    """Returns the flags of a row, all but the batch."""
    flags = [f'--network={network}', f'--dtype={options.dtype}']
    flags += [f'--rounds={options.rounds}', f'--seconds={options.seconds}', *extra]
    if NETWORKS[network] and options.against:
        flags.append('--against=timm')
        flags += [f'--peer-python={options.peer_python}'] if options.peer_python else []
        flags += ['--peer-compile'] if options.peer_compile else []
    return flags


def measured(flags: Sequence[str], batch_size: int) -> str | None:
    """Returns what the command tells with the largest batch that fits, None if none.

    Raises:
      ChildProcessError: it failed for another reason; the text is its last line.
    """
    while batch_size:
        begun = time.monotonic()
        command = [sys.executable, '-m', 'inception_jax', 'benchmark']
        command += ['--what=train,forward', '--format=json', *flags]
        done = subprocess.run(
            [*command, f'--batch-size={batch_size}'],
            capture_output=True,
            text=True,
            check=False,
        )
        took = f'{time.monotonic() - begun:.0f} s'
        last = (done.stderr.strip() or 'no word').splitlines()[-1]
        if done.returncode == 0:
            print(f'{batch_size} images: measured in {took}', flush=True)
            return done.stdout
        if done.returncode != 1 or not MEMORY.search(last):
            raise ChildProcessError(last)
        print(f'{batch_size} images do not fit ({took}): {last}', flush=True)
        batch_size //= 2
    return None


def rows(flags: Sequence[str], told: Mapping) -> Iterator[tuple[str, ...]]:
    """Yields the lines of the table for what the command told."""
    for part, found in told['parts'].items():
        ours, peer, ratio = found['ours'], found.get('peer'), found.get('ratio')
        yield (
            told['network'],
            ' '.join(flags) or '-',
            str(told['batch_size']),
            part,
            f'{ours["images_per_second"]["median"]:,.4g}',
            f'{peer["images_per_second"]["median"]:,.4g}' if peer else '-',
            '{median:.2f} ({least:.2f} to {greatest:.2f})'.format(**ratio)
            + ('' if told['same_network'] else ', another network')
            if ratio
            else '-',
            f'{100 * ours["share_of_matmul"]["median"]:.0f} %',
            f'{ours["peak_bytes"] / GIB:.2f}',
            f'{peer["peak_bytes"] / GIB:.2f}' if peer else '-',
            f'{ours["startup_seconds"]:.0f}',
            f'{peer["startup_seconds"]:.0f}' if peer else '-',
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('output', type=Path)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=[*NETWORKS])
    parser.add_argument('--dtype', default='bfloat16')
    parser.add_argument('--batch-size', type=int, default=256, help='the first try')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=2.0)
    parser.add_argument('--alone', dest='against', action='store_false')
    parser.add_argument('--peer-python')
    parser.add_argument('--peer-compile', action='store_true')
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    lines, status = [], 0
    for network in options.networks:
        for extra in EXTRA:
            name = '-'.join([network, options.dtype, *(x.strip('-') for x in extra)])
            path = options.output / f'{name}.json'
            print(name, flush=True)
            try:
                told = path.read_text() if path.exists() else None
                flags = flags_of(network, extra, options)
                told = told or measured(flags, options.batch_size)
            except ChildProcessError as error:
                print(error, file=sys.stderr)
                status = 1
                continue
            if told is None:
                print('no batch fits', file=sys.stderr)
                continue
            path.write_text(told)
            lines += rows(extra, json.loads(told))
            (options.output / 'networks.md').write_text(table(COLUMNS, lines) + '\n')
    return status


if __name__ == '__main__':
    sys.exit(main())
