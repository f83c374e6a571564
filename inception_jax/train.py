"""Training, on one page: from a prepared run to a folder with a trained network."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np

from inception_jax import checkpoints, logs, parallel, workdirs
from inception_jax.by_block import names
from inception_jax.data.pipeline import evaluation_batches, training_batches
from inception_jax.identity import check_same
from inception_jax.prepare import Prepared
from inception_jax.programs import Steps, programs
from inception_jax.signals import signals
from inception_jax.state import TrainState, initial_state
from inception_jax.verdicts import Signs, Verdict, Watch, diverged, judge, not_finite


class Seen(NamedTuple):
    """What the steps so far tell: a verdict, and the metrics since the last record."""

    watch: Watch
    interval: list[dict[str, float]]


class Outcome(NamedTuple):
    """How a run ended: at its last step or by divergence, or at a signal.

    `signal` is the number of one that came, also in a run's last steps.
    """

    step: int
    verdict: Verdict
    signal: int | None


class Stretch(NamedTuple):
    """Steps after which something is due: log, evaluate or save.

    The number of the last, the state after it, the metrics of all, and what is due.
    """

    step: int
    state: TrainState
    metrics: list
    due: set[str]


class Desk(NamedTuple):
    """Where a run writes: checkpoints, records, and what people see."""

    manager: checkpoints.Manager
    log: logs.Log
    progress: logs.Progress


def start(p: Prepared) -> tuple[TrainState, Seen]:
    """Claims the workdir and returns its newest checkpoint, or the state before step 1.

    Raises:
      ValueError: the checkpoint cannot be read or is another run's, the records cannot
        be read, or the workdir cannot be written.
    """
    logs.read(p.workdir)
    state, seen = newest(p)
    if int(state.step) > p.steps:
        raise ValueError(
            f'the run in {p.workdir} is at step {int(state.step)}, beyond the '
            f'{p.steps} steps of config.run.epochs; raise it'
        )
    workdirs.claim(p.workdir, p.identity)
    workdirs.begin(p.workdir)
    return state, seen


def newest(p: Prepared, at: int | None = None) -> tuple[TrainState, Seen]:
    """Returns the newest checkpoint, up to the step `at`, or the state before step 1.

    Raises:
      ValueError: the checkpoint cannot be read or is another run's.
    """
    state = initial_state(
        p.network, p.experiment.recipe, p.hparams, seed=p.experiment.run.seed
    )
    state = parallel.spread(state, p.mesh)
    saved = checkpoints.restore(p.workdir / 'checkpoints', like=state, at=at)
    if saved is None and workdirs.origin(p.workdir):
        raise ValueError(
            f'{p.workdir} is a fork and its checkpoints are gone; make it again with '
            'fork, into another folder'
        )
    if saved is None:
        return state, Seen(Watch(), [])
    check_same(p.workdir, saved.about['run'], p.identity)
    watch = saved.about['watch']
    watch = Watch(Verdict(**watch['verdict']), tuple(watch['shares']))
    state = dataclasses.replace(saved.state, hparams=state.hparams)
    return state, Seen(watch, saved.about['interval'])


def train(p: Prepared, state: TrainState, seen: Seen, *, lines: bool = True) -> Outcome:
    """Trains to the last step. SIGINT and SIGTERM save the state and end the run.

    The workdir gets metrics.jsonl, TensorBoard events and checkpoints; with `lines`,
    people see the records.
    """
    first = done = int(state.step)
    batches = (parallel.place(b, p.mesh) for b in stream(p, start=first))
    size = p.experiment.run.batch_size
    with (
        contextlib.closing(
            logs.Progress(p.steps, first, size, lines=lines)
        ) as progress,
        desk(p, first, progress) as at,
        signals() as caught,
    ):
        todo = stretches(p, programs(p).steps, first, state, batches, progress, caught)
        for stretch in todo:
            done, seen = stretch.step, attend(p, at, stretch, seen)
            if seen.watch.verdict.verdict == 'diverged':
                break
    return Outcome(done, seen.watch.verdict, caught())


def stretches(
    p: Prepared,
    steps: Steps,
    first: int,
    state: TrainState,
    batches: Iterator[dict],
    progress: logs.Progress,
    caught: Callable[[], int | None],
) -> Iterator[Stretch]:
    """Makes the steps after `first`, and yields when something is due.

    The next step takes the state that was yielded. A signal ends the steps with a state
    to save.
    """
    running = []
    for done in range(first + 1, p.steps + 1):
        diagnosed = is_due(p.experiment.run.diagnose_every_steps, done)
        step = steps.diagnosed_step if diagnosed else steps.step
        state, metrics = step(state, next(batches))
        running.append(metrics)
        parallel.keep_pace(running)
        progress.advance(running)
        due, stop = due_after(p, done), caught()
        if stop:
            yield Stretch(done, state, running, due | {'save'})
            return
        if due:
            yield Stretch(done, state, running, due)
            running = []
            progress.restart()


@contextlib.contextmanager
def desk(p: Prepared, first: int, progress: logs.Progress) -> Iterator[Desk]:
    """Opens what a run writes to, from the step `first` on."""
    keep = p.experiment.run.keep_checkpoints
    with (
        checkpoints.manager(
            p.workdir / 'checkpoints', keep, always=workdirs.origin(p.workdir)
        ) as manager,
        contextlib.closing(logs.Log(p.workdir, step=first)) as log,
    ):
        yield Desk(manager, log, progress)


def attend(p: Prepared, at: Desk, stretch: Stretch, seen: Seen) -> Seen:
    """Judges the steps of a stretch, and does what is due; waits for them.

    Only evaluate and save need its state.
    """
    step, state, running, due = stretch
    before = seen.watch.verdict
    where = {'step': step, 'epoch': step / p.steps_per_epoch}
    numbered = list(enumerate(jax.device_get(running), step - len(running) + 1))
    seen = observe(p, seen, numbered)
    for record in diagnoses(p, numbered):
        at.log.write('diagnostics', record)
    if seen.watch.verdict.since != before.since:
        at.progress.say(str(seen.watch.verdict))
    if 'log' in due:
        record = where | summarise(seen.interval) | at.progress.rate()
        at.log.write('train', record)
        at.progress.say(logs.text('train', record))
        seen = seen._replace(interval=[])
    if seen.watch.verdict.verdict == 'diverged':
        return seen
    if 'evaluate' in due:
        record = where | evaluation(p, state)
        at.log.write('evaluation', record)
        at.progress.say(logs.text('evaluation', record))
        if not np.isfinite(record['cross_entropy']):
            return seen._replace(watch=Watch(diverged(step, 'evaluation')))
    if 'save' in due:
        checkpoints.save(at.manager, state, about(p, seen))
    return seen


def evaluation(p: Prepared, state: TrainState) -> dict[str, float]:
    """Returns the errors of the averages on the evaluation split."""
    batches = evaluation_batches(
        p.evaluation_source,
        batch_size=p.experiment.run.batch_size,
        size=p.network.input_size,
        crop_fraction=p.network.crop_fraction,
    )
    return programs(p).evaluate(state, batches)


def stream(p: Prepared, *, start: int) -> Iterator[dict[str, np.ndarray]]:
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
    )


def due_after(p: Prepared, step: int) -> set[str]:
    """Returns which of log, evaluate and save are due; all are after the last step."""
    run = p.experiment.run
    every = {
        'log': run.log_every_steps,
        'evaluate': max(1, round(run.evaluate_every_epochs * p.steps_per_epoch)),
        'save': max(1, round(run.checkpoint_every_epochs * p.steps_per_epoch)),
    }
    return {what for what in every if is_due(every[what], step) or step == p.steps}


def is_due(every: int, step: int) -> bool:
    """Tells whether something that comes every so many steps comes now; 0 is never."""
    return every > 0 and step % every == 0


def observe(p: Prepared, seen: Seen, numbered: list[tuple[int, dict]]) -> Seen:
    """Judges the metrics of steps, given with their numbers."""
    blocks, watch, interval = names(p.network), seen.watch, [*seen.interval]
    for number, metrics in numbered:
        numbers = scalars(metrics)
        bad = not_finite(blocks, **metrics['blocks'])
        signs = Signs(numbers['loss'], numbers['dead_channels'], bad)
        watch = judge(watch, number, signs, p.experiment.verdicts)
        interval.append(numbers)
    return Seen(watch, interval)


def scalars(metrics: dict) -> dict[str, float]:
    """Returns the metrics of a step that are one number."""
    return {n: float(x) for n, x in metrics.items() if not isinstance(x, dict)}


def diagnoses(p: Prepared, numbered: list[tuple[int, dict]]) -> Iterator[logs.Record]:
    """Yields a record for each of the steps that was diagnosed."""
    for number, metrics in numbered:
        if 'diagnosis' in metrics:
            yield {
                'step': number,
                'epoch': number / p.steps_per_epoch,
                'blocks': list(names(p.network)),
                **{name: x.tolist() for name, x in metrics['diagnosis'].items()},
            }


def summarise(interval: list[dict[str, float]]) -> dict[str, float]:
    """Returns the means over steps; batches are of one size, so these are of images."""
    return {
        name: float(np.mean([metrics[name] for metrics in interval]))
        for name in interval[0]
    }


def about(p: Prepared, seen: Seen) -> dict:
    """Returns what a checkpoint holds beside the state.

    The position in the data is the state's step: the stream is a function of it.
    """
    return {
        'run': p.identity,
        'watch': dataclasses.asdict(seen.watch),
        'interval': seen.interval,
    }
