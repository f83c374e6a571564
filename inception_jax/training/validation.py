"""Evaluation of variables on a source: every example counts once."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.parallel.mesh import keep_pace, put_batch


def validation_errors(
    step: Callable,
    variables: dict[str, Any],
    residual_scale: jax.Array,
    batches: Iterable[dict],
    mesh: Mesh,
) -> dict[str, float]:
    """Returns `cross_entropy`, `top_1_error` and `top_5_error` over all real examples.

    `step` is a compiled `steps.eval_step`; the errors are in percent, and `examples` is
    the number that they are taken over.
    """
    sums = []
    for batch in batches:
        sums.append(step(variables, residual_scale, put_batch(batch, mesh)))
        keep_pace(sums)
    parts = jax.device_get(sums)
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
