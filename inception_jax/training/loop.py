"""The training loop: steps, and the logs, evaluations and checkpoints between them."""

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax

from inception_jax.config.sections import RunSection
from inception_jax.data.example import Unreadable
from inception_jax.data.pipeline import LoadingStopped
from inception_jax.data.prefetch import LostWorker
from inception_jax.parallel.mesh import keep_pace, put_batch
from inception_jax.runs import checkpoints
from inception_jax.runs.log import Log, record_text
from inception_jax.runs.records import Record, read_records
from inception_jax.runs.run import fork_step
from inception_jax.runtime import memory, processes
from inception_jax.runtime.signals import Stopped
from inception_jax.stability.verdicts import Verdict, judge_evaluation
from inception_jax.steps.state import TrainState
from inception_jax.training.batches import batch_stream, loading_processes
from inception_jax.training.failures import outside_errors_as_stopped
from inception_jax.training.observe import (
    RunProgress,
    average_metrics,
    diagnoses,
    observe,
    position,
)
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import StepFunctions, compiled_functions
from inception_jax.training.progress import ProgressBar
from inception_jax.training.resume import checkpoint_metadata
from inception_jax.training.validation import validate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a training run: after `step` of `steps`, with a verdict.

    `ended` says that the verdict ended the run. `signal` is the number of a signal that
    came, also during the last steps.
    """

    step: int
    steps: int
    verdict: Verdict
    signal: int | None = None
    ended: bool = False

    @property
    def stopped(self) -> bool:
        """Whether a signal ended the run before its last step."""
        return self.signal is not None and self.step < self.steps

    @property
    def exit_status(self) -> int:
        """The exit status of a command that trained the run."""
        return 128 + self.signal if self.stopped else 0


class Due(NamedTuple):
    """The actions that are due after a step."""

    log: bool = False
    evaluate: bool = False
    save: bool = False


@dataclasses.dataclass(frozen=True)
class Interval:
    """The steps since the last action: number of the last step, state, metrics of all.

    `due` says which actions follow.
    """

    step: int
    state: TrainState
    metrics: list
    due: Due


class RunOutputs(NamedTuple):
    """The places that a run writes to: checkpoints, records and the screen.

    With several processes only the first has a log.
    """

    manager: checkpoints.Manager
    log: Log | None
    bar: ProgressBar

    def write(self, split: str, record: Record) -> None:
        if self.log:
            self.log.write(split, record)


def train_from(
    run: PreparedRun,
    state: TrainState,
    progress: RunProgress,
    *,
    lines: bool = True,
    began: float | None = None,
) -> Outcome:
    """Trains from a state to the last step; donates the state.

    The workdir gets metrics.jsonl, TensorBoard events and checkpoints. SIGINT and
    SIGTERM save the state and end the run.

    Args:
      lines: print the records, and the time to the first step.
      began: start of that time by the monotonic clock, by default now.

    Raises:
      Stopped: an error of the disk, the data or the memory of the device.
    """
    first = done = int(state.step)
    verdict, ended = progress.verdict_state.verdict, False
    if verdict_ends(run, progress):
        return Outcome(step=first, steps=run.steps, verdict=verdict, ended=True)
    batch_size, workers = run.experiment.run.batch_size, loading_processes(run)
    with (
        _outside_errors_end_all(),
        contextlib.closing(batch_stream(run, start=first, workers=workers)) as images,
        contextlib.closing(
            ProgressBar(run.steps, first, batch_size, lines=lines, began=began)
        ) as bar,
        open_outputs(run, first, bar) as outputs,
        processes.stop_signals() as stop,
        memory.trimmed_memory(),
        _outside_errors_end_all(),
    ):
        batches = (put_batch(batch, run.mesh) for batch in images)
        steps = compiled_functions(run).steps
        for interval in itertools.chain(
            missed_evaluation(run, first, state),
            intervals(run, steps, first, state, batches, bar, stop),
        ):
            done = interval.step
            progress = after_interval(run, outputs, interval, progress)
            ended = verdict_ends(run, progress)
            if ended:
                break
    return Outcome(
        step=done,
        steps=run.steps,
        verdict=progress.verdict_state.verdict,
        signal=stop(done),
        ended=ended,
    )


@contextlib.contextmanager
def _outside_errors_end_all() -> Iterator[None]:
    """Turns errors from outside into Stopped, which ends all of several processes.

    `train_from` enters it twice: an error inside must end all processes before the
    inner context managers close, because closing waits for the others.
    """
    with processes.failing_together(1, Stopped), outside_errors_as_stopped():
        yield


def missed_evaluation(
    run: PreparedRun, step: int, state: TrainState
) -> Iterator[Interval]:
    """Yields the evaluation after a step that was saved but could not be evaluated."""
    missing = False
    # The other processes must not read what the first is writing.
    if processes.is_first() and step > 0 and due_after(run, step).evaluate:
        evaluated = read_records(run.workdir, 'evaluation')
        missing = step not in {record['step'] for record in evaluated}
    if processes.agree(missing):
        yield Interval(step, state, [], Due(evaluate=True))


def intervals(
    run: PreparedRun,
    steps: StepFunctions,
    first: int,
    state: TrainState,
    batches: Iterator[dict],
    bar: ProgressBar,
    stop: processes.Stop,
) -> Iterator[Interval]:
    """Makes the steps after `first`, and yields whenever an action is due.

    The next step donates the yielded state. A signal, data that cannot be read and a
    lost worker end the steps with a state to save.
    """
    settings = run.experiment.run
    metrics_so_far, saved, saved_at = [], first, time.monotonic()
    for done in range(first + 1, run.steps + 1):
        step = steps.diagnosed_step if has_diagnosis(settings, done) else steps.step
        try:
            batch = next(batches)
        except LoadingStopped:
            if saved < done - 1:
                yield Interval(done - 1, state, metrics_so_far, Due(save=True))
            return
        except (Unreadable, LostWorker, OSError):
            if saved < done - 1 and jax.process_count() == 1:
                yield Interval(done - 1, state, metrics_so_far, Due(save=True))
            raise
        bar.before_step()
        state, metrics = step(state, batch)
        metrics_so_far.append(metrics)
        keep_pace(metrics_so_far)
        bar.after_step(metrics_so_far)
        due = due_after(run, done)
        if settings.checkpoint_every_minutes and due.log:
            seconds = time.monotonic() - saved_at
            if processes.agree(seconds >= 60 * settings.checkpoint_every_minutes):
                due = due._replace(save=True)
        if due.save:
            saved, saved_at = done, time.monotonic()
        if stop(done):
            yield Interval(done, state, metrics_so_far, due._replace(save=True))
            return
        if any(due):
            yield Interval(done, state, metrics_so_far, due)
            metrics_so_far = []
            bar.restart()


@contextlib.contextmanager
def open_outputs(
    run: PreparedRun, first: int, bar: ProgressBar
) -> Iterator[RunOutputs]:
    """Opens the outputs of a run that continues after the step `first`."""
    settings, forked = run.experiment.run, fork_step(run.workdir)
    with (
        checkpoints.open_manager(
            run.workdir / 'checkpoints',
            settings.keep_checkpoints,
            best=settings.keep_best,
            always=() if forked is None else (forked,),
        ) as manager,
        contextlib.closing(Log(run.workdir, step=first))
        if processes.is_first()
        else contextlib.nullcontext() as log,
    ):
        yield RunOutputs(manager, log, bar)


def after_interval(
    run: PreparedRun, outputs: RunOutputs, interval: Interval, progress: RunProgress
) -> RunProgress:
    """Judges the steps of an interval and takes the actions that are due.

    A run that the verdict ends is saved, unless it diverged. Only evaluating and saving
    need the state.
    """
    due, error = interval.due, None
    progress = judge_interval(run, outputs, interval, progress)
    if due.log:
        progress = log_interval(run, outputs, interval, progress)
    if due.evaluate and not _diverged_and_ends(run, progress):
        progress, error = evaluate_interval(run, outputs, interval, progress)
    save = due.save or verdict_ends(run, progress)
    if save and not _diverged_and_ends(run, progress):
        save_interval(run, outputs, interval, progress, error)
    return progress


def judge_interval(
    run: PreparedRun, outputs: RunOutputs, interval: Interval, progress: RunProgress
) -> RunProgress:
    """Judges the metrics, writes the diagnoses and prints a new verdict."""
    before = progress.verdict_state.verdict
    first = interval.step - len(interval.metrics) + 1
    numbered = list(enumerate(jax.device_get(interval.metrics), first))
    progress = observe(run, progress, numbered)
    for record in diagnoses(run, numbered):
        outputs.write('diagnostics', record)
    verdict = progress.verdict_state.verdict
    if verdict.since != before.since:
        outputs.bar.say(str(verdict))
    return progress


def log_interval(
    run: PreparedRun, outputs: RunOutputs, interval: Interval, progress: RunProgress
) -> RunProgress:
    """Writes and prints the mean metrics of the steps since the last train record."""
    record = (
        position(run, interval.step)
        | average_metrics(progress.unlogged, run.experiment.run.batch_size)
        | outputs.bar.rate()
    )
    outputs.write('train', record)
    outputs.bar.say(record_text('train', record))
    return progress._replace(unlogged=[])


def evaluate_interval(
    run: PreparedRun, outputs: RunOutputs, interval: Interval, progress: RunProgress
) -> tuple[RunProgress, float]:
    """Writes and prints the errors of the EMA weights; returns the top-1 error as well.

    A cross-entropy that is not finite makes the verdict `diverged`. An unreadable image
    costs no steps: the state is saved before the error is raised.
    """
    try:
        record = position(run, interval.step) | validate(run, interval.state)
    except (Unreadable, OSError):
        if jax.process_count() == 1:
            save_interval(run, outputs, interval, progress)
        raise
    outputs.write('evaluation', record)
    outputs.bar.say(record_text('evaluation', record))
    verdict_state = judge_evaluation(
        progress.verdict_state, interval.step, record['cross_entropy']
    )
    return progress._replace(verdict_state=verdict_state), record['top_1_error']


def save_interval(
    run: PreparedRun,
    outputs: RunOutputs,
    interval: Interval,
    progress: RunProgress,
    top_1_error: float | None = None,
) -> None:
    """Saves a checkpoint, with its top-1 error in percent if it was evaluated."""
    metadata = checkpoint_metadata(run, progress)
    checkpoints.save_checkpoint(outputs.manager, interval.state, metadata, top_1_error)


def verdict_ends(run: PreparedRun, progress: RunProgress) -> bool:
    """Returns whether the verdict ends the run before its last step."""
    return run.experiment.verdicts.end(progress.verdict_state.verdict)


def _diverged_and_ends(run: PreparedRun, progress: RunProgress) -> bool:
    verdict = progress.verdict_state.verdict.verdict
    return verdict == 'diverged' and verdict_ends(run, progress)


def due_after(run: PreparedRun, step: int) -> Due:
    """Returns the actions that are due after a step; all are after the last step."""
    settings, last = run.experiment.run, step == run.steps

    def every_epochs(epochs: float) -> bool:
        return is_due(max(1, round(epochs * run.steps_per_epoch)), step) or last

    evaluate = every_epochs(settings.evaluate_every_epochs)
    save = every_epochs(settings.checkpoint_every_epochs)
    return Due(
        log=is_due(settings.log_every_steps, step) or last,
        evaluate=evaluate,
        save=save or (evaluate and settings.keep_best > 0),
    )


def has_diagnosis(settings: RunSection, step: int) -> bool:
    """Returns whether a step has diagnostics: each of the first, then every so many."""
    every = settings.diagnose_every_steps
    return is_due(every, step) or (every > 0 and step <= settings.diagnose_first_steps)


def is_due(every: int, step: int) -> bool:
    """Returns whether an action that comes every so many steps is due; 0 is never."""
    return every > 0 and step % every == 0
