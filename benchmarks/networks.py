"""Measures seven networks, each beside its relative in timm if there is one.

Command   python benchmarks/networks.py OUTPUT [--dtype bfloat16] [--batch-size 256] \\
              [--execution fast] [--execution fast-siblings] [--peer-python PYTHON]
Needs     pip install torch timm, here or in an environment of its own; of our own
          requirements only jax, flax, optax and numpy; run it in a clone
Cost      on a GPU about five minutes a network; on 2 CPU cores, with --batch-size 8
          --dtype float32, about ten
Writes    OUTPUT/ROW.json, the report of the benchmark command on each row, and
          OUTPUT/networks.md, a table of the requested rows

A row is a network under an execution. Its batch is --batch-size, halved until both
sides fit the memory. Each attempt runs the command in processes of its own, training
first. Rows that exist are not measured again; their options must be the same.
"""

import argparse
import itertools
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.model.execution import check_execution
from inception_jax.runtime.amounts import counted
from inception_jax.speed.roofline import GIB

# The networks of the paper, then the released ones; True if timm has a relative.
NETWORKS = {
    'inception_v3': True,
    'inception_v4': True,
    'inception_resnet_v1': True,
    'inception_resnet_v2': True,
    'inception_v4_slim': True,
    'inception_resnet_v2_slim': True,
    'inception_resnet_v1_facenet': False,
}

DTYPES = ('float32', 'bfloat16')

MEMORY = re.compile(r'memory|RESOURCE_EXHAUSTED', re.IGNORECASE)
COLUMNS = (
    *('network', 'execution', 'batch', 'part', 'images/s', "timm's", 'ours / timm'),
    *('of a matrix product', 'peak, GiB', "timm's", 'start-up, s', "timm's"),
)


def flags_of(network: str, execution: str, options) -> list[str]:
    """Returns the options of a row, without the batch size."""
    flags = [f'--network={network}', f'--dtype={options.dtype}']
    flags += [f'--execution={execution}']
    flags += [f'--rounds={options.rounds}', f'--seconds={options.seconds}']
    if NETWORKS[network] and options.against:
        flags.append('--against=timm')
        flags += [f'--peer-python={options.peer_python}'] if options.peer_python else []
        flags += ['--peer-compile'] if options.peer_compile else []
    return flags


def read_row(path: Path, flags: Sequence[str]) -> dict | None:
    """Returns the row in a file, None if the file does not exist.

    Raises:
      ValueError: the file has other content, or was measured with other options.
    """
    if not path.exists():
        return None
    try:
        row = json.loads(path.read_text())
        before, _ = list(row['asked']), list(rows(row))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a row of this script; remove it') from error
    if before != flags:
        old, new = ({*before} - {*flags}, {*flags} - {*before})
        raise ValueError(
            f'{path} was measured with {" ".join(sorted(old))}, and now the options '
            f'are {" ".join(sorted(new))}; remove it, or name another OUTPUT'
        )
    return row


def measure(flags: Sequence[str], batch_size: int) -> str | None:
    """Returns the report with the largest batch that fits, None if no batch fits.

    Raises:
      ChildProcessError: the command failed for another reason; the message is the last
        line of its stderr.
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
        last = (done.stderr.strip() or 'no message').splitlines()[-1]
        if done.returncode == 0:
            print(f'{counted(batch_size, "image")}: measured in {took}', flush=True)
            return done.stdout
        if done.returncode != 1 or not MEMORY.search(last):
            raise ChildProcessError(last)
        print(
            f'a batch of {counted(batch_size, "image")} does not fit ({took}): {last}',
            flush=True,
        )
        batch_size //= 2
    return None


def rows(report: Mapping) -> Iterator[tuple[str, ...]]:
    """Yields the lines of the table for a report of the command."""
    for part, figures in report['parts'].items():
        ours, peer = figures['ours'], figures.get('peer')
        ratio = figures.get('ratio')
        yield (
            report['network'],
            report['execution'],
            str(report['batch_size']),
            part,
            f'{ours["images_per_second"]["median"]:,.4g}',
            f'{peer["images_per_second"]["median"]:,.4g}' if peer else '-',
            '{median:.2f} ({least:.2f} to {greatest:.2f})'.format(**ratio)
            + ('' if report['same_network'] else ', another network')
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
    parser.add_argument('--dtype', choices=DTYPES, default='bfloat16')
    parser.add_argument(
        '--batch-size', type=_count, default=256, help='largest batch to try'
    )
    parser.add_argument('--execution', action='append', metavar='HOW')
    parser.add_argument('--rounds', type=_count, default=5)
    parser.add_argument('--seconds', type=float, default=2.0)
    parser.add_argument('--alone', dest='against', action='store_false')
    parser.add_argument('--peer-python')
    parser.add_argument('--peer-compile', action='store_true')
    options = parser.parse_args()
    try:
        executions = dict.fromkeys(options.execution or ['fast'])
        for execution in executions:
            check_execution(execution)
        options.output.mkdir(parents=True, exist_ok=True)
        return _work(options, executions)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _work(options: argparse.Namespace, executions: Iterable[str]) -> int:
    options_of = {
        options.output / f'{network}-{options.dtype}-{execution}.json': [
            *flags_of(network, execution, options),
            f'--batch-size={options.batch_size}',
        ]
        for network, execution in itertools.product(options.networks, executions)
    }
    # All existing rows are checked before the first is measured.
    existing = {path: read_row(path, flags) for path, flags in options_of.items()}
    lines, status = [], 0
    for path, flags in options_of.items():
        print(path.stem, flush=True)
        row = existing[path]
        if row is None:
            try:
                *others, _ = flags  # without the batch size
                report = measure(others, options.batch_size)
            except ChildProcessError as error:
                print(error, file=sys.stderr)
                status = 1
                continue
            if report is None:
                print('no batch fits', file=sys.stderr)
                status = 1
                continue
            row = {'asked': flags} | json.loads(report)
            path.write_text(json.dumps(row, indent=1) + '\n')
        lines += rows(row)
        (options.output / 'networks.md').write_text(
            markdown_table(COLUMNS, lines) + '\n'
        )
    return status


def _count(argument: str) -> int:
    if not argument.isdecimal() or int(argument) < 1:
        raise argparse.ArgumentTypeError(f'{argument!r}; expected 1 or more')
    return int(argument)


if __name__ == '__main__':
    sys.exit(main())
