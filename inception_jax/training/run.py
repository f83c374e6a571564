"""The sequence of a run: lock the workdir, start or resume, train, summarise."""

import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import Experiment, experiment
from inception_jax.config.files import config_with
from inception_jax.runs.lock import lock_workdir
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import log_command
from inception_jax.runtime import processes
from inception_jax.runtime.paths import local_path
from inception_jax.steps.state import TrainState
from inception_jax.training.failures import outside_errors_as_stopped
from inception_jax.training.loop import Outcome, train_from
from inception_jax.training.observe import RunProgress
from inception_jax.training.prepare import PreparedRun, prepare
from inception_jax.training.resume import start_or_resume
from inception_jax.training.summary import run_header, write_summary

# The states in which runs start or resume.
Starts = list[tuple[TrainState, RunProgress]]


def train(
    config: Experiment | Mapping[str, Any], workdir: str | Path, **changes: Any
) -> Run:
    """Trains the network of a config in a folder, or resumes the run in it.

    The folder gets checkpoints, metrics.jsonl, TensorBoard events, verdict.json and
    curves.png. Nothing is printed but a progress bar on a terminal. SIGINT (Ctrl-C, or
    the stop button of a notebook) saves the state and then raises KeyboardInterrupt;
    the same call resumes, and ends bit-identical to an uninterrupted run.

    Args:
      config: the config, as `load_config` returns it.
      workdir: the folder of the run; it is made if it is not there.
      **changes: fields of the config that get other values: `residual_scale=0.1`,
        `run={'epochs': 1}` or `**{'run.epochs': 1}`.

    Returns:
      The run on disk, a `Run`, with its records and verdict.

    Raises:
      ValueError: a field is wrong, the folder holds another run, or another process
        works in it.
      Stopped: the disk, the data or the memory of the device ended the run.

    >>> config = load_config('configs/quickstart.py')  # doctest: +SKIP
    >>> run = train(config, 'runs/unscaled', residual_scale=1.0)  # doctest: +SKIP
    >>> train({'run': {'epochs': 1}}, 'runs/unscaled', epoch=2)
    Traceback (most recent call last):
    ValueError: unknown field config.epoch; did you mean config.run.epochs?
    """
    workdir = local_path(workdir)
    checked = experiment(config_with(config, **changes))
    prepared = prepare(checked, workdir)
    pass_signal_on(start_run(prepared)().signal)
    return Run(prepared.workdir)


def pass_signal_on(number: int | None) -> None:
    """Raises in this process the signal that ended its training, if one did."""
    if number == signal.SIGINT:
        # Also in a process that a shell started in the background, where it is ignored.
        raise KeyboardInterrupt
    if number is not None:
        signal.raise_signal(number)


def start_run(
    run: PreparedRun,
    *,
    say: Callable[[str], None] | None = None,
    began: float | None = None,
) -> Callable[[], Outcome]:
    """Locks the workdir and restores the state; returns the function that trains.

    A mistake of the user shows before that function is called.

    Args:
      say: prints the header, the records and the summary; nothing is printed without.
      began: start of the time to the first step by the monotonic clock, by default the
        start of training.

    Raises:
      ValueError: another process works in the workdir, or its run cannot resume.
    """

    def train_alone(runs: Sequence[PreparedRun], starts: Starts) -> list[Outcome]:
        state, progress = starts.pop()
        if say:
            say(run_header(run, int(state.step)))
        lines = say is not None
        return [train_from(run, state, progress, lines=lines, began=began)]

    work = start_runs([run], train_alone, say=say)
    return lambda: work()[0]


def start_runs(
    runs: Sequence[PreparedRun],
    train_all: Callable[[Sequence[PreparedRun], Starts], list[Outcome]],
    *,
    say: Callable[[str], None] | None = None,
) -> Callable[[], list[Outcome]]:
    """Does for several runs what `start_run` does for one.

    `train_all` trains the runs from their states, which it removes from the list, so
    that no state is on the devices twice.

    Raises:
      WorkdirInUse: another process works in one of the workdirs.
      ValueError: a run cannot resume.
    """
    with contextlib.ExitStack() as stack:
        if processes.is_first():
            for run in runs:
                stack.enter_context(lock_workdir(run.workdir))
        starts = [start_or_resume(run) for run in runs]
        if processes.is_first():
            for run in runs:
                log_command(run.workdir)
        locks = stack.pop_all()

    def work() -> list[Outcome]:
        with locks, outside_errors_as_stopped():
            outcomes = train_all(runs, starts)
            if processes.is_first():
                for run, outcome in zip(runs, outcomes, strict=True):
                    summary = write_summary(run, outcome)
                    if say:
                        say(summary)
        return outcomes

    return work
