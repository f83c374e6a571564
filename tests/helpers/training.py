"""Runs of a tiny network from the command line, and the files that they leave."""

import contextlib
import json
import os
import subprocess
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from helpers import tiny
from helpers.paths import QUICKSTART, ROOT

TINY = {
    # Imported above: a run does not import the network that its config names.
    'network.name': f'{tiny.__name__}:NET',
    'network.input_size': 16,
    'network.width': 1.0,
    'network.depth': 1.0,
    'data.source': 'synthetic:64/4',
    'data.workers': 0,
    'run.batch_size': 8,
    'run.epochs': 12,
    'run.log_every_steps': 5,
    'run.evaluate_every_epochs': 4,
    'run.checkpoint_every_epochs': 2,
    'run.diagnose_every_steps': 10,
}


def arguments(workdir, config=QUICKSTART, **changes):
    fields = TINY | {name.replace('__', '.'): value for name, value in changes.items()}
    return [
        'train',
        f'--config={config}',
        f'--workdir={workdir}',
        *(f'--config.{name}={value}' for name, value in fields.items()),
    ]


def records(workdir):
    """Returns the records of a run without the fields that depend on the clock."""
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    clocks = ('images_per_second', 'seconds_left')
    return [
        {k: v for k, v in json.loads(line).items() if k not in clocks} for line in lines
    ]


def last_state(workdir):
    """Returns the arrays of the newest checkpoint, by path."""
    with ocp.CheckpointManager((workdir / 'checkpoints').absolute()) as manager:
        args = ocp.args.Composite(state=ocp.args.StandardRestore())
        state = manager.restore(manager.latest_step(), args=args).state

    def bits(x):
        is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if is_key else x)

    return jax.tree.map(bits, state)


def assert_same_runs(workdir, other):
    """Asserts that two runs have equal records and bit-identical newest states."""
    assert records(workdir) == records(other)
    jax.tree.map(np.testing.assert_array_equal, last_state(workdir), last_state(other))


def environment():
    """Returns the environment for a separate process."""
    return os.environ | {
        'PYTHONPATH': f'{ROOT}:{ROOT / "tests"}',
        'PYTHONUNBUFFERED': '1',
        'JAX_NUM_CPU_DEVICES': '4',
    }


def apart(command, line=None, number=None):
    """Runs a command in a separate process; sends a signal when it prints a line.

    Returns its exit status, and what it printed to stdout and stderr.
    """
    program = ['inception_jax'] if line is None else ['helpers.paused', line]
    with subprocess.Popen(
        [sys.executable, '-m', *program, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    ) as process:
        printed = []
        for text in process.stdout:
            printed.append(text)
            if line and text.startswith(line):
                process.send_signal(number)
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write('\n')
                    process.stdin.flush()
    return process.returncode, ''.join(printed)
