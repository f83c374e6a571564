"""What a trained network makes of images, compiled: probabilities, and its blocks."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.networks.network import Network, trunk
from inception_jax.parallel.compile import compile_evaluation
from inception_jax.parallel.mesh import put_batch, shardings
from inception_jax.steps.eval_step import softmax_step
from inception_jax.steps.forward import Batch
from inception_jax.weights.trained import Trained

# The end points that are no block of the trunk: the averages of the last grid, and what
# the softmax is of.
POOL, LOGITS = 'pool', 'logits'


def compile_softmax(one: Trained, *, mirrored: bool) -> Callable[[Batch], Batch]:
    """Returns what maps a batch to `softmax_step` of it."""
    step = functools.partial(softmax_step, mirrored=mirrored, **_parts(one))
    return _applied(step, one)


def compile_end_point(one: Trained, name: str) -> Callable[[Batch], Batch]:
    """Returns what maps a batch to its `example`, `mask` and `features`, float32.

    Features are [batch, height, width, channels] after a block of the trunk, and
    [batch, channels] of `pool` and `logits`.

    Raises:
      ValueError: the network has no such end point.
    """
    check_end_point(one.network, name)
    return _applied(functools.partial(_end_point, name=name, **_parts(one)), one)


def end_points(network: Network) -> tuple[str, ...]:
    """Lists the names of what a network computes on the way to its logits."""
    return (*(block.name for block in trunk(network)), POOL, LOGITS)


def check_end_point(network: Network, name: str) -> None:
    """Raises ValueError unless a network has an end point."""
    if name not in (names := end_points(network)):
        raise ValueError(
            f'{network.name} has no block {name!r}; it has {", ".join(names)}'
        )


def _end_point(variables, residual_scale, batch, *, classifier, scale, name) -> Batch:
    outputs, left = classifier.apply(
        variables,
        scale(batch['image']),
        train=False,
        residual_scale=residual_scale,
        mutable=['intermediates'],
    )
    if name == POOL:
        found = outputs.features.astype(jnp.float32).mean(axis=(1, 2))
    elif name == LOGITS:
        found = outputs.logits
    else:
        (found,) = left['intermediates'][name]['output']
    return {
        'example': batch['example'],
        'mask': batch['mask'],
        'features': found.astype(jnp.float32),
    }


def _parts(one: Trained) -> dict:
    # The decay is of training, and nothing here trains.
    classifier = Classifier(one.network, 0.0, dtype=jnp.dtype(one.dtype))
    scale = functools.partial(augment.to_range, pixel_range=one.network.pixel_range)
    return {'classifier': classifier, 'scale': scale}


def _applied(step: Callable, one: Trained) -> Callable[[Batch], Batch]:
    compiled = compile_evaluation(step, one.mesh)
    # What lies in its place already is not copied.
    places = shardings(one.variables, one.mesh)
    variables = jax.device_put(one.variables, places)
    return lambda batch: compiled(variables, one.scales, put_batch(batch, one.mesh))
