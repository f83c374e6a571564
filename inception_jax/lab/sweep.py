"""Sweeps: many runs that differ in some fields of one config, on few programs.

A member is the run that `train` would make, in a folder of its own. It can be stopped
at any moment and resumes with the same command. The table of the sweep is computed from
these folders.
"""

import functools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from inception_jax.config.experiment import Experiment, experiment
from inception_jax.config.files import config_with
from inception_jax.lab.grid import ENGINES, grid_product, name_members, shard_of
from inception_jax.lab.lockstep import lockstep_key, train_members
from inception_jax.lab.sweep_folder import (
    Sweep,
    open_sweep,
    read_sweep,
    write_sweep,
    write_table,
)
from inception_jax.networks.network import program
from inception_jax.runs.lock import WorkdirInUse
from inception_jax.runs.run import Run, is_finished
from inception_jax.runs.workdir import ERROR, log_command
from inception_jax.runtime import choices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_text
from inception_jax.runtime.paths import local_path
from inception_jax.training.failures import outside_errors_as_stopped
from inception_jax.training.loop import Outcome, train_from
from inception_jax.training.prepare import PreparedRun, open_identified, prepare
from inception_jax.training.programs import compiled_names
from inception_jax.training.run import Starts, pass_signal_on, start_runs


def sweep(
    config: Experiment | Mapping[str, Any],
    folder: str | Path,
    *,
    engine: str = 'sequential',
    shard: tuple[int, int] = (0, 1),
    **grid: Any,
) -> Sweep:
    """Trains a member for each combination of the values of a grid.

    The same call resumes a sweep that was stopped; a larger grid adds members. A member
    that fails stops no other: its folder gets error.txt, and the next call tries it
    again. SIGINT saves the members at work and then raises KeyboardInterrupt.

    Args:
      config: the base config, as `load_config` returns it.
      folder: the folder of the sweep.
      engine: 'sequential' trains one member after another, 'devices' one member on each
        device, 'vmap' all members of a program at once on one device.
      shard: (i, n) trains the members of shard i of n only, counted from 0.
      **grid: the values of each field: `residual_scale=[0.1, 1.0], seed=range(3)`.

    Raises:
      ValueError: there is no such field or engine, a member cannot run, or the folder
        holds something else.

    >>> config = load_config('configs/quickstart.py')  # doctest: +SKIP
    >>> scales = sweep(config, 'runs/sweep',
    ...                residual_scale=[0.1, 1.0], seed=range(3))  # doctest: +SKIP
    >>> scales.table()  # doctest: +SKIP
    >>> sweep({'run': {'seed': 0}}, 'runs/sweep', seed=[])
    Traceback (most recent call last):
    ValueError: the grid has no value for config.run.seed; give it one or more
    """
    choices.check('engine', engine, ENGINES)
    folder = local_path(folder)
    base = config_with(config)
    members = name_members(grid_product(base, grid))
    work = start_sweep(open_sweep(folder, base, members), engine, shard)
    pass_signal_on(work().signal)
    return read_sweep(folder)


class SweepSummary(NamedTuple):
    """The effect of a call, counted over the members of its shard.

    `finished` counts members that are finished now, also by earlier calls; `programs`
    counts train steps that were compiled or read from the compilation cache; `signal`
    is the number of the signal that ended the call, None without one.
    """

    members: int
    finished: int
    failed: int
    programs: int
    seconds: float
    signal: int | None

    @property
    def exit_status(self) -> int:
        """The exit status of a command that made the call."""
        return 128 + self.signal if self.signal else int(self.failed > 0)

    def __str__(self) -> str:
        return (
            f'{self.finished} of {counted(self.members, "member")} finished, '
            f'{self.failed} failed, in {self.seconds:.0f} s; '
            f'{counted(self.programs, "train step")} compiled or read from disk'
        )


def start_sweep(
    sweep: Sweep,
    engine: str,
    shard: tuple[int, int] = (0, 1),
    *,
    say: Callable[[str], None] | None = None,
) -> Callable[[], SweepSummary]:
    """Checks all members and writes sweep.json; returns the function that trains.

    Args:
      say: prints the progress; nothing is printed without it.

    Raises:
      ValueError: there are no members, a member cannot run, or the folder cannot be
        written.
    """
    if not sweep.members:
        raise ValueError(
            'no members; give fields several values, e.g. residual_scale=[0.1, 1] '
            "(--grid 'residual_scale=0.1,1')"
        )
    runs = prepare_members(sweep, engine)
    write_sweep(sweep)
    log_command(sweep.folder)
    say = say or (lambda line: None)

    def work() -> SweepSummary:
        part = f', part {shard[0]}/{shard[1]}' if shard[1] > 1 else ''
        with outside_errors_as_stopped():
            say(f'{counted(len(runs), "member")} in {sweep.folder}{part}')
            summary = _train_shard(sweep, runs, engine, shard, say)
            say(str(summary))
        return summary

    return work


def prepare_members(sweep: Sweep, engine: str) -> dict[str, PreparedRun]:
    """Prepares all members; compiles and writes nothing.

    Raises:
      ValueError: a member cannot run, or not with this engine; the message names it.
    """
    runs, open_images = {}, functools.cache(open_identified)
    for member in sweep.members:
        try:
            checked = experiment(sweep.config_of(member))
            runs[member] = prepare(
                checked, sweep.workdir(member), open_images=open_images
            )
            if engine != 'sequential' and checked.parallel.batch_norm == 'per_device':
                raise ValueError(
                    'config.parallel.batch_norm is per_device, and with the engine '
                    f'{engine} a member is on one device; use the engine sequential'
                )
        except ValueError as error:
            raise ValueError(f'member {member}: {error}') from error
    return runs


def _train_shard(
    sweep: Sweep,
    runs: dict[str, PreparedRun],
    engine: str,
    shard: tuple[int, int],
    say: Callable[[str], None],
) -> SweepSummary:
    """Trains the members of a shard that are not finished; a failure stops no other.

    SIGINT and SIGTERM save the members at work and end the sweep.
    """
    members = shard_of(_ordered_by_program(runs), shard)
    left = [member for member in members if not _is_finished(runs[member])]
    began, signal = time.monotonic(), None
    write_table(sweep.folder)
    with compiled_names() as compiled:
        for group in _groups(left, runs, engine):
            done = sum(_is_finished(runs[member]) for member in members)
            now = group[0] if len(group) == 1 else f'{len(group)} members together'
            say(f'{done} of {counted(len(members), "member")} finished; training {now}')
            signal = _attempt({member: runs[member] for member in group}, engine, say)
            write_table(sweep.folder)
            if signal:
                break
    return SweepSummary(
        members=len(members),
        finished=sum(_is_finished(runs[member]) for member in members),
        failed=sum((runs[m].workdir / ERROR).exists() for m in members),
        programs=sum('train_step' in name for name in compiled),
        seconds=time.monotonic() - began,
        signal=signal,
    )


def _ordered_by_program(runs: dict[str, PreparedRun]) -> list[str]:
    """Returns the members, those with the same program next to each other."""
    by_program: dict[tuple, list[str]] = {}
    for member, run in runs.items():
        by_program.setdefault(_program_key(run), []).append(member)
    return [member for members in by_program.values() for member in members]


def _program_key(run: PreparedRun) -> tuple:
    experiment = run.experiment
    return program(run.network), experiment.recipe, experiment.run.batch_size


def _groups(
    left: Sequence[str], runs: dict[str, PreparedRun], engine: str
) -> Iterator[list[str]]:
    """Yields members to train at the same time; they differ in traced numbers only."""
    most = {'sequential': 1, 'devices': jax.device_count(), 'vmap': len(left)}[engine]
    by_key: dict[tuple, list[str]] = {}
    for member in left:
        key = (_program_key(runs[member]), lockstep_key(runs[member]))
        by_key.setdefault(key, []).append(member)
    for members in by_key.values():
        for first in range(0, len(members), most):
            yield members[first : first + most]


def _attempt(
    group: dict[str, PreparedRun], engine: str, say: Callable[[str], None]
) -> int | None:
    """Trains members together, or each alone if that fails; returns a signal."""
    try:
        outcomes = _train_together(list(group.values()), engine)
    except WorkdirInUse as error:
        say(str(error))
        if len(group) == 1:
            return None
        outcomes = []
    except Exception:
        outcomes, error = [], traceback.format_exc()
    # Outside of the except clause, so that the failed attempt frees its device memory.
    if not outcomes and len(group) > 1:
        say(f'{len(group)} members cannot train together; training each alone')
        signals = (_attempt({m: run}, 'sequential', say) for m, run in group.items())
        return next(filter(None, signals), None)
    if not outcomes:
        ((member, run),) = group.items()
        run.workdir.mkdir(parents=True, exist_ok=True)
        write_text(run.workdir / ERROR, error)
        say(f'{member}: failed, see {run.workdir / ERROR}')
        return None
    for member, outcome in zip(group, outcomes, strict=True):
        say(
            f'{member}: {outcome.verdict}, step {outcome.step:,} of {outcome.steps:,}'
            + (' (stopped; start the sweep again to resume)' if outcome.stopped else '')
        )
    return next((o.signal for o in outcomes if o.signal), None)


def _train_together(group: list[PreparedRun], engine: str) -> list[Outcome]:
    def train_all(runs: Sequence[PreparedRun], starts: Starts) -> list[Outcome]:
        if engine != 'sequential':
            return train_members(runs, starts, engine)
        return [train_from(run, *starts.pop(0), lines=False) for run in runs]

    return start_runs(group, train_all)()


def _is_finished(run: PreparedRun) -> bool:
    outcome = Run(run.workdir).readable_outcome
    # The number of steps is that of this sweep, which may have more epochs than before.
    return outcome is not None and is_finished(outcome | {'steps': run.steps})
