"""replay: make steps of a run again, with diagnostics on each."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'make steps of a run again and look at each'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--workdir', required=True, type=Path, metavar='DIR', help='the run'
    )
    parser.add_argument(
        '--from', required=True, type=int, metavar='N', dest='first', help='after step'
    )
    parser.add_argument(
        '--to', required=True, type=int, metavar='M', dest='last', help='up to step'
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Makes the steps of a run again and compares them with what it recorded."""
    refuse_arguments(rest)
    if options.first >= options.last:
        raise ValueError(
            f'--from {options.first} --to {options.last}; the second step must be later'
        )
    from inception_jax.runtime.memory import compute_where_called
    from inception_jax.training.states import check_run_step, open_run

    compute_where_called()
    prepared = open_run(options.workdir)
    check_run_step(prepared, options.first)
    check_run_step(prepared, options.last)
    return lambda: _work(prepared, options.first, options.last)


def _work(prepared, first: int, last: int) -> int:
    from inception_jax.lab.replay import replay

    found = replay(prepared, first, last)
    same = found.records - len(found.different)
    state = {
        None: 'no checkpoint to compare the state with',
        True: 'the state is that of the checkpoint, bit for bit',
        False: 'the state differs from that of the checkpoint',
    }[found.same_state]
    records = (
        f'{same} of {found.records} records of training and diagnostics are equal'
        if found.records
        else 'the run recorded nothing in these steps that could be compared'
    )
    print(f'{last - first} steps, {found.path}\n{records}; {state}')
    if found.different or found.same_state is False:
        steps = ', '.join(str(record['step']) for record in found.different[:5])
        print(
            f'not the same run (records of steps {steps or "none"}): another machine, '
            'number of devices or version?'
        )
        return 1
    return 0
