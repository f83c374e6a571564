"""Training, on one page: from a prepared run to a folder with a trained network."""

import contextlib
import dataclasses
import functools
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax import checkpoints, logs, parallel, workdirs
from inception_jax.classifier import Classifier
from inception_jax.data import augment
from inception_jax.data.pipeline import evaluation_batches, training_batches
from inception_jax.evaluate import errors
from inception_jax.prepare import Prepared
from inception_jax.state import TrainState, initial_state
from inception_jax.steps import eval_step, train_step
from inception_jax.verdicts import Verdict, judge, judge_evaluation


class Seen(NamedTuple):
    """What the steps so far tell: a verdict, and the metrics since the last record."""

    verdict: Verdict
    interval: list[dict[str, float]]


class Outcome(NamedTuple):
    """How a run ended: at its last step, by divergence, or by a signal (its number)."""

    step: int
    verdict: Verdict
    signal: int | None


def start(p: Prepared) -> tuple[TrainState, Seen]:
    """Claims the workdir and returns its newest checkpoint, or the state before step 1.

    Raises:
      ValueError: the checkpoint cannot be read or is another run's, the records cannot
      be
        read, or the workdir cannot be written.
    """
    state = initial_state(
        p.network, p.experiment.recipe, p.hparams, seed=p.experiment.run.seed
    )
    state = parallel.replicate(state, p.mesh)
    saved = checkpoints.restore(p.workdir / 'checkpoints', like=state)
    logs.read(p.workdir)
    if saved is None:
        workdirs.claim(p.workdir, p.identity)
        return state, Seen(Verdict(), [])
    workdirs.check_same(p.workdir, saved.about['run'], p.identity)
    if int(saved.state.step) > p.steps:
        raise ValueError(
            f'the run in {p.workdir} is at step {int(saved.state.step)}, beyond the '
            f'{p.steps} steps of config.run.epochs; raise it'
        )
    workdirs.claim(p.workdir, p.identity)
    seen = Seen(Verdict(**saved.about['verdict']), saved.about['interval'])
    return dataclasses.replace(saved.state, hparams=state.hparams), seen


def train(p: Prepared, state: TrainState, seen: Seen) -> Outcome:
    """Trains to the last step. SIGINT and SIGTERM save the state and end the run.

    The workdir gets metrics.jsonl, TensorBoard events and checkpoints.
    """
    run, first = p.experiment.run, int(state.step)
    step, evaluate = compiled_steps(p)
    batches = stream(p, start=first)
    done, running = first, []
    with (
        checkpoints.manager(p.workdir / 'checkpoints', run.keep_checkpoints) as manager,
        contextlib.closing(logs.Log(p.workdir, step=first)) as log,
        contextlib.closing(logs.Progress(p.steps, first, run.batch_size)) as progress,
        signals() as caught,
    ):
        for done in range(first + 1, p.steps + 1):
            state, metrics = step(state, parallel.place(next(batches), p.mesh))
            running.append(metrics)
            parallel.keep_pace(running)
            progress.advance(running)
            due, stop = due_after(p, done), caught()
            if not (due or stop):
                continue
            before, seen = seen.verdict, observe(seen, done, running)
            running = []
            if seen.verdict != before:
                progress.say(str(seen.verdict))
            where = {'step': done, 'epoch': done / p.steps_per_epoch}
            if 'log' in due:
                record = where | summarise(seen.interval) | progress.rate()
                progress.say(log.write('train', record))
                seen = seen._replace(interval=[])
            if seen.verdict.verdict == 'diverged':
                break
            if 'evaluate' in due:
                record = where | evaluate(state)
                progress.say(log.write('evaluation', record))
                seen = seen._replace(verdict=judge_evaluation(seen.verdict, record))
            if 'save' in due or stop:
                checkpoints.save(manager, state, about(p, seen))
            if stop:
                break
            progress.restart()
    return Outcome(done, seen.verdict, caught() if done < p.steps else None)


def compiled_steps(p: Prepared) -> tuple[Callable, Callable]:
    """Returns the train step, and the evaluation of a state's averages."""
    recipe, run = p.experiment.recipe, p.experiment.run
    pixels = {'pixel_range': p.network.pixel_range}
    classifier = Classifier(
        p.network, recipe.batch_norm_decay, dtype=jnp.dtype(recipe.dtype)
    )
    distort = functools.partial(
        augment.augment, flip=recipe.flip, colour=recipe.colour, **pixels
    )
    step = functools.partial(
        train_step, classifier=classifier, recipe=recipe, augment=distort
    )
    scale = functools.partial(augment.to_range, **pixels)
    one_batch = parallel.compiled_eval_step(
        functools.partial(eval_step, classifier=classifier, scale=scale), p.mesh
    )

    def evaluate(state: TrainState) -> dict[str, float]:
        batches = evaluation_batches(
            p.evaluation_source,
            batch_size=run.batch_size,
            size=p.network.input_size,
            crop_fraction=p.network.crop_fraction,
        )
        scales = state.hparams.residual_scale
        return errors(one_batch, state.ema, scales, batches, p.mesh)

    return parallel.compiled_train_step(step, p.mesh), evaluate


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
    return {what for what in every if step % every[what] == 0 or step == p.steps}


def observe(seen: Seen, last: int, running: list) -> Seen:
    """Fetches the metrics of the steps up to `last` and judges them; waits for them."""
    verdict = seen.verdict
    fetched = [{n: float(v) for n, v in m.items()} for m in jax.device_get(running)]
    for number, metrics in enumerate(fetched, last - len(fetched) + 1):
        verdict = judge(
            verdict, number, loss=metrics['loss'], zero_share=metrics['zero_share']
        )
    return Seen(verdict, seen.interval + fetched)


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
        'verdict': dataclasses.asdict(seen.verdict),
        'interval': seen.interval,
    }


@contextlib.contextmanager
def signals() -> Iterator[Callable[[], int | None]]:
    """Catches the first SIGINT or SIGTERM and tells its number; a second one kills."""
    caught = []

    def catch(number, frame):
        caught.append(number)
        for one, handler in before.items():
            signal.signal(one, handler)

    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    for one in before:
        signal.signal(one, catch)
    try:
        yield lambda: caught[0] if caught else None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
