"""Training, on one page: from a prepared run to a folder with a trained network."""

import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from inception_jax.data.crops import view_options
from inception_jax.data.example import Unreadable
from inception_jax.data.pipeline import (
    evaluation_batches,
    note_unreadable,
    training_batches,
)
from inception_jax.data.prefetch import LostWorker, cores, worker_count
from inception_jax.parallel.mesh import keep_pace, put_batch
from inception_jax.runs import checkpoints
from inception_jax.runs.log import Log, record_text
from inception_jax.runs.records import Record, read_records
from inception_jax.runs.run import fork_step
from inception_jax.runtime import memory, processes
from inception_jax.runtime.signals import Stopped
from inception_jax.stability.verdicts import Verdict, VerdictState, diverged
from inception_jax.steps.state import TrainState
from inception_jax.training.failures import outside_errors_as_stopped
from inception_jax.training.observe import RunProgress, diagnoses, observe, summarise
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import StepFunctions, programs
from inception_jax.training.progress import Progress
from inception_jax.training.resume import checkpoint_metadata


class Outcome(NamedTuple):
    """How a run ended: at its last step or by divergence, or at a signal.

    `ended` tells that the verdict ended it. `signal` is the number of one that came,
    also in a run's last steps.
    """

    step: int
    verdict: Verdict
    signal: int | None
    ended: bool = False


class Interval(NamedTuple):
    """Steps after which something is due: log, evaluate or save.

    The number of the last, the state after it, the metrics of all, and what is due.
    """

    step: int
    state: TrainState
    metrics: list
    due: set[str]


class RunOutputs(NamedTuple):
    """Where a run writes: checkpoints, records, and what people see.

    Of several processes the first alone has records.
    """

    manager: checkpoints.Manager
    log: Log | None
    progress: Progress

    def write(self, split: str, record: Record) -> None:
        if self.log:
            self.log.write(split, record)


def train(
    p: PreparedRun,
    state: TrainState,
    seen: RunProgress,
    *,
    lines: bool = True,
    began: float | None = None,
) -> Outcome:
    """Trains to the last step. SIGINT and SIGTERM save the state and end the run.

    The workdir gets metrics.jsonl, TensorBoard events and checkpoints; with `lines`,
    people see the records, and how long after `began` by the monotonic clock, else
    after now, the first step was made.

    Raises:
      Stopped: the disk, the data or the memory of the device does not allow more.
    """
    first = done = int(state.step)
    if verdict_ends(p, seen):
        return Outcome(first, seen.watch.verdict, None, ended=True)
    size, ended = p.experiment.run.batch_size, False
    with (
        _guarded(),
        contextlib.closing(batch_stream(p, start=first, workers=_workers(p))) as images,
        contextlib.closing(
            Progress(p.steps, first, size, lines=lines, began=began)
        ) as progress,
        open_outputs(p, first, progress) as at,
        processes.stop_signals() as stop,
        memory.trimmed_memory(),
        _guarded(),
    ):
        batches = (put_batch(batch, p.mesh) for batch in images)
        todo = intervals(p, programs(p).steps, first, state, batches, progress, stop)
        for stretch in itertools.chain(missed_evaluation(p, first, state), todo):
            done, seen = stretch.step, attend(p, at, stretch, seen)
            ended = verdict_ends(p, seen)
            if ended:
                break
    return Outcome(done, seen.watch.verdict, stop(done), ended)


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    """Turns what comes from outside into Stopped, which ends all of several processes.

    It stands around what is opened as well as within, for an error in the work must not
    wait for what is closed.
    """
    with processes.failing_together(1, Stopped), outside_errors_as_stopped():
        yield


def missed_evaluation(
    p: PreparedRun, step: int, state: TrainState
) -> Iterator[Interval]:
    """Yields the evaluation after a step that was saved but could not be evaluated."""
    recorded = {record['step'] for record in read_records(p.workdir, 'evaluation')}
    missing = step > 0 and 'evaluate' in due_after(p, step) and step not in recorded
    if processes.agree(missing):
        yield Interval(step, state, [], {'evaluate'})


def intervals(
    p: PreparedRun,
    steps: StepFunctions,
    first: int,
    state: TrainState,
    batches: Iterator[dict],
    progress: Progress,
    stop: processes.Stop,
) -> Iterator[Interval]:
    """Makes the steps after `first`, and yields when something is due.

    The next step takes the state that was yielded. A signal ends the steps with a state
    to save, and so do data that cannot be read and a worker that is lost.
    """
    running, kept, since = [], first, time.monotonic()
    for done in range(first + 1, p.steps + 1):
        diagnosed = is_due(p.experiment.run.diagnose_every_steps, done)
        step = steps.diagnosed_step if diagnosed else steps.step
        try:
            batch = next(batches)
        except (Unreadable, LostWorker):
            if kept < done - 1 and jax.process_count() == 1:
                yield Interval(done - 1, state, running, {'save'})
            raise
        progress.step()
        state, metrics = step(state, batch)
        running.append(metrics)
        keep_pace(running)
        progress.advance(running)
        due = due_after(p, done)
        minutes = p.experiment.run.checkpoint_every_minutes
        if minutes and 'log' in due:
            passed = time.monotonic() - since >= 60 * minutes
            due = due | {'save'} if processes.agree(passed) else due
        if 'save' in due:
            kept, since = done, time.monotonic()
        if stop(done):
            yield Interval(done, state, running, due | {'save'})
            return
        if due:
            yield Interval(done, state, running, due)
            running = []
            progress.restart()


@contextlib.contextmanager
def open_outputs(
    p: PreparedRun, first: int, progress: Progress
) -> Iterator[RunOutputs]:
    """Opens what a run writes to, from the step `first` on."""
    run = p.experiment.run
    with (
        checkpoints.open_manager(
            p.workdir / 'checkpoints',
            run.keep_checkpoints,
            best=run.keep_best,
            always=fork_step(p.workdir),
        ) as manager,
        contextlib.closing(Log(p.workdir, step=first))
        if processes.is_first()
        else contextlib.nullcontext() as log,
    ):
        yield RunOutputs(manager, log, progress)


def attend(
    p: PreparedRun, at: RunOutputs, stretch: Interval, seen: RunProgress
) -> RunProgress:
    """Judges the steps of a stretch, and does what is due; waits for them.

    Only evaluate and save need its state.
    """
    step, state, running, due = stretch
    before = seen.watch.verdict
    where = {'step': step, 'epoch': step / p.steps_per_epoch}
    numbered = list(enumerate(jax.device_get(running), step - len(running) + 1))
    seen = observe(p, seen, numbered)
    for record in diagnoses(p, numbered):
        at.write('diagnostics', record)
    if seen.watch.verdict.since != before.since:
        at.progress.say(str(seen.watch.verdict))
    if 'log' in due:
        record = (
            where
            | summarise(seen.interval, p.experiment.run.batch_size)
            | at.progress.rate()
        )
        at.write('train', record)
        at.progress.say(record_text('train', record))
        seen = seen._replace(interval=[])
    if verdict_ends(p, seen) and seen.watch.verdict.verdict == 'diverged':
        return seen
    error = None
    if 'evaluate' in due:
        try:
            record = where | validate(p, state)
        except Unreadable:
            if jax.process_count() == 1:
                checkpoints.save_checkpoint(
                    at.manager, state, checkpoint_metadata(p, seen)
                )
            raise
        at.write('evaluation', record)
        at.progress.say(record_text('evaluation', record))
        error = record['top_1_error']
        if not np.isfinite(record['cross_entropy']):
            seen = seen._replace(watch=VerdictState(diverged(step, 'evaluation')))
            if verdict_ends(p, seen):
                return seen
    if 'save' in due or verdict_ends(p, seen):
        checkpoints.save_checkpoint(
            at.manager, state, checkpoint_metadata(p, seen), error
        )
    return seen


def verdict_ends(p: PreparedRun, seen: RunProgress) -> bool:
    """Tells whether the verdict ends the run."""
    return p.experiment.verdicts.end(seen.watch.verdict)


def validate(p: PreparedRun, state: TrainState) -> dict[str, float]:
    """Returns the errors of the averages on the evaluation split."""
    source, skip = p.evaluation_source, p.experiment.data.on_unreadable == 'skip'
    batches = evaluation_batches(
        source,
        batch_size=p.experiment.run.batch_size,
        **view_options(p.network, crops=1),
        unreadable=note_unreadable if skip else None,
        shard=processes.process_shard(),
    )
    found = programs(p).evaluate(state, batches)
    return found | {'unreadable': len(source) - found['examples']} if skip else found


def batch_stream(
    p: PreparedRun, *, start: int, workers: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """Returns the training batches from the number `start` on."""
    run, data = p.experiment.run, p.experiment.data
    return training_batches(
        p.train_source,
        batch_size=run.batch_size,
        size=p.network.input_size,
        seed=run.seed,
        area=data.area,
        aspect=data.aspect,
        start=start,
        skip=data.on_unreadable == 'skip',
        shard=processes.process_shard(),
        workers=workers,
    )


def _workers(p: PreparedRun) -> int:
    """Returns how many processes load the images of a run."""
    local = p.experiment.run.batch_size // jax.process_count()
    batch_bytes = 3 * local * p.network.input_size**2
    return worker_count(p.experiment.data.workers, cores(), batch_bytes)


def due_after(p: PreparedRun, step: int) -> set[str]:
    """Returns which of log, evaluate and save are due; all are after the last step."""
    run = p.experiment.run
    every = {
        'log': run.log_every_steps,
        'evaluate': max(1, round(run.evaluate_every_epochs * p.steps_per_epoch)),
        'save': max(1, round(run.checkpoint_every_epochs * p.steps_per_epoch)),
    }
    due = {what for what in every if is_due(every[what], step) or step == p.steps}
    return due | {'save'} if run.keep_best and 'evaluate' in due else due


def is_due(every: int, step: int) -> bool:
    """Tells whether something that comes every so many steps comes now; 0 is never."""
    return every > 0 and step % every == 0
