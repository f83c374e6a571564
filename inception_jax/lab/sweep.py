"""Many runs that differ in some fields of one config, on as few programs as can be.

A member is a run in a folder of its own, as `train` would make it, so it can be stopped
at any moment and goes on with the same command; the table is a function of these
folders.
"""

import contextlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax

from inception_jax.config.experiment import experiment
from inception_jax.lab import lockstep
from inception_jax.lab.grid import Sweep, shard_of
from inception_jax.lab.table import write_table
from inception_jax.networks.network import program
from inception_jax.runs.lock import WorkdirInUse, lock_workdir
from inception_jax.runs.outcome import is_finished
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import log_command
from inception_jax.training import programs, summary
from inception_jax.training.loop import Outcome, train
from inception_jax.training.prepare import PreparedRun, prepare
from inception_jax.training.resume import start_or_resume


class SweepSummary(NamedTuple):
    """What a call did: members finished by it and before it, of those of its shard,
    how many train steps were compiled or read from the folder of compiled programs, and
    the signal that ended it, if one did.
    """

    members: int
    finished: int
    failed: int
    programs: int
    seconds: float
    signal: int | None


def sweep_text(summary: SweepSummary) -> str:
    """Returns what a call did, in words."""
    return (
        f'{summary.finished} of {summary.members} members of this part are done '
        f'({summary.failed} failed), {summary.seconds:.0f} s; train steps compiled or '
        f'read from disk: {summary.programs}'
    )


def prepare_members(sweep: Sweep, engine: str) -> dict[str, PreparedRun]:
    """Prepares all members; compiles and writes nothing.

    Raises:
      ValueError: a member cannot run, or not by this engine; the message names it.
    """
    found = {}
    for member in sweep.members:
        try:
            chosen = experiment(sweep.config_of(member))
            found[member] = prepare(chosen, sweep.workdir(member))
            if engine != 'sequential' and chosen.parallel.batch_norm == 'per_device':
                raise ValueError(
                    f'config.parallel.batch_norm is per_device, and with --engine '
                    f'{engine} a member is on one device; use --engine sequential'
                )
        except ValueError as error:
            raise ValueError(f'member {member}: {error}') from error
    return found


def print_now(line: str) -> None:
    """Prints a line where it is waited for, be it a file."""
    print(line, flush=True)


def run_members(
    sweep: Sweep,
    runs: dict[str, PreparedRun],
    *,
    engine: str,
    shard: tuple[int, int] = (0, 1),
    say: Callable[[str], None] = print_now,
) -> SweepSummary:
    """Runs the members of a shard that are not finished; a failed one stops no other.

    SIGINT and SIGTERM save the state of the members at work and end the sweep.
    """
    mine = shard_of(_in_order(runs), shard)
    left = [member for member in mine if not _is_finished(runs[member])]
    begun, signal = time.monotonic(), None
    write_table(sweep.folder)
    with programs.compiled_names() as compiled:
        for group in _groups(left, runs, engine):
            done = sum(map(_is_finished, map(runs.get, mine)))
            now = group[0] if len(group) == 1 else f'{len(group)} members together'
            say(f'{done} of {len(mine)} done; now {now}')
            signal = _attempt({member: runs[member] for member in group}, engine, say)
            write_table(sweep.folder)
            if signal:
                break
    done = [_is_finished(runs[member]) for member in mine]
    errors = [(runs[member].workdir / 'error.txt').exists() for member in mine]
    return SweepSummary(
        members=len(mine),
        finished=sum(done),
        failed=sum(errors),
        programs=sum('train_step' in name for name in compiled),
        seconds=time.monotonic() - begun,
        signal=signal,
    )


def _in_order(runs: dict[str, PreparedRun]) -> list[str]:
    """Returns the members, those of one program together."""
    by_program: dict[tuple, list[str]] = {}
    for member, p in runs.items():
        by_program.setdefault(_program(p), []).append(member)
    return [member for together in by_program.values() for member in together]


def _program(p: PreparedRun) -> tuple:
    return program(p.network), p.experiment.recipe, p.experiment.run.batch_size


def _groups(
    left: Sequence[str], runs: dict[str, PreparedRun], engine: str
) -> Iterator[list[str]]:
    """Yields members that run at the same time: alike but for traced numbers."""
    most = {'sequential': 1, 'devices': jax.device_count(), 'vmap': len(left)}[engine]
    alike: dict[tuple, list[str]] = {}
    for member in left:
        key = (_program(runs[member]), lockstep.lockstep_key(runs[member]))
        alike.setdefault(key, []).append(member)
    for some in alike.values():
        for first in range(0, len(some), most):
            yield some[first : first + most]


def _attempt(
    group: dict[str, PreparedRun], engine: str, say: Callable[[str], None]
) -> int | None:
    """Runs some members, alone if together they fail; returns the signal that came."""
    try:
        outcomes = _outcomes(list(group.values()), engine)
    except WorkdirInUse as error:
        say(str(error))
        if len(group) == 1:
            return None
        outcomes = []
    except Exception:
        outcomes, error = [], traceback.format_exc()
    # Out here the failed attempt is gone, with all that it held on the device.
    if not outcomes and len(group) > 1:
        say(f'{len(group)} members cannot run together; trying each alone')
        signals = (_attempt({m: p}, 'sequential', say) for m, p in group.items())
        return next(filter(None, signals), None)
    if not outcomes:
        ((member, p),) = group.items()
        p.workdir.mkdir(parents=True, exist_ok=True)
        (p.workdir / 'error.txt').write_text(error)
        say(f'{member}: failed, see {p.workdir / "error.txt"}')
        return None
    for (member, p), outcome in zip(group.items(), outcomes, strict=True):
        stopped = outcome.signal is not None and outcome.step < p.steps
        say(
            f'{member}: {outcome.verdict}, step {outcome.step:,} of {p.steps:,}'
            + (' (stopped; start the sweep again to go on)' if stopped else '')
        )
    return next((o.signal for o in outcomes if o.signal), None)


def _outcomes(group: list[PreparedRun], engine: str) -> list[Outcome]:
    with contextlib.ExitStack() as held:
        for p in group:
            held.enter_context(lock_workdir(p.workdir))
        begun = [start_or_resume(p) for p in group]
        for p in group:
            log_command(p.workdir)
        if engine == 'sequential':
            outcomes = [train(p, *begun.pop(0), lines=False) for p in group]
        else:
            outcomes = lockstep.train_together(group, begun, engine)
        for p, outcome in zip(group, outcomes, strict=True):
            summary.write_summary(p, outcome)
    return outcomes


def _is_finished(p: PreparedRun) -> bool:
    verdict = Run(p.workdir).readable_outcome
    # The steps of this sweep: one with more epochs than before goes on.
    return verdict is not None and is_finished(verdict | {'steps': p.steps})
