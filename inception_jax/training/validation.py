"""Evaluation on a split: the error of every example counts once."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.data.crops import view_options
from inception_jax.data.example import Unreadable
from inception_jax.data.pipeline import evaluation_batches, note_unreadable
from inception_jax.parallel.mesh import keep_pace, put_batch
from inception_jax.runtime import processes
from inception_jax.steps.state import TrainState
from inception_jax.training.prepare import PreparedRun
from inception_jax.training.programs import compiled_functions


def validate(run: PreparedRun, state: TrainState) -> dict[str, float]:
    """Returns the errors of the EMA weights on the evaluation split.

    `unreadable` is the number of skipped images if the config skips unreadable images.
    """
    source = run.evaluation_source
    skip = run.experiment.data.on_unreadable == 'skip'
    batches = evaluation_batches(
        source,
        batch_size=run.experiment.run.batch_size,
        **view_options(run.network, crops=1),
        unreadable=note_unreadable if skip else None,
        shard=processes.process_shard(),
    )
    functions = compiled_functions(run)
    scales = functions.residual_scale(state.step, state.hparams)
    errors = validation_errors(
        functions.eval_step, state.ema, scales, batches, run.mesh
    )
    if skip:
        errors['unreadable'] = len(source) - errors['examples']
    return errors


def validation_errors(
    step: Callable,
    variables: dict[str, Any],
    residual_scale: jax.Array,
    batches: Iterable[dict],
    mesh: Mesh,
) -> dict[str, float]:
    """Returns `cross_entropy`, `top_1_error` and `top_5_error` over all real examples.

    The errors are in percent; `examples` is the number of examples.

    Args:
      step: a compiled `steps.eval_step`.
      residual_scale: float32 [residual blocks].
    """
    sums = []
    for batch in batches:
        sums.append(step(variables, residual_scale, put_batch(batch, mesh)))
        keep_pace(sums)
    parts = jax.device_get(sums)
    if not sum(part['examples'] for part in parts):
        raise Unreadable('no image of the evaluation split can be read')
    total = {
        name: float(np.sum([part[name] for part in parts], dtype=np.float64))
        for name in parts[0]
    }
    examples = total['examples']
    return {
        'cross_entropy': total['cross_entropy'] / examples,
        'top_1_error': 100.0 * total['top_1_errors'] / examples,
        'top_5_error': 100.0 * total['top_5_errors'] / examples,
        'examples': int(examples),
    }
