"""Compiled programs of a trained network: its softmax and the outputs of its blocks."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.networks.network import Network, trunk
from inception_jax.parallel.compile import compile_evaluation
from inception_jax.parallel.mesh import put_batch, shardings
from inception_jax.steps.eval_step import softmax_step
from inception_jax.steps.forward import Batch
from inception_jax.weights.trained import Trained, check_head

# The end points after the trunk: the spatial mean of the final feature map, and the
# input of the softmax.
POOL, LOGITS = 'pool', 'logits'

# The number of compiled programs that are kept, so that a notebook that applies a
# network again does not compile it again.
PROGRAMS = 8


def compile_softmax(trained: Trained, *, mirrored: bool) -> Callable[[Batch], Batch]:
    """Returns a function from a batch to `softmax_step` of it.

    Raises:
      ValueError: the weights have no head.
    """
    check_head(trained)
    program = _softmax_program(trained.network, trained.dtype, trained.mesh, mirrored)
    return _with_variables(program, trained)


def compile_end_point(trained: Trained, name: str) -> Callable[[Batch], Batch]:
    """Returns a function from a batch to its `example`, `mask` and `features`.

    `features` are float32: [batch, height, width, channels] after a block of the trunk,
    [batch, channels] for `pool`, and [batch, classes] for `logits`.

    Raises:
      ValueError: the network has no such end point.
    """
    check_end_point(trained.network, name)
    if name == LOGITS:
        check_head(trained)
    program = _end_point_program(trained.network, trained.dtype, trained.mesh, name)
    return _with_variables(program, trained)


def end_points(network: Network) -> tuple[str, ...]:
    """Lists the blocks of the trunk in order, then 'pool' and 'logits'."""
    return (*(block.name for block in trunk(network)), POOL, LOGITS)


def check_end_point(network: Network, name: str) -> None:
    """Raises ValueError unless the network has the end point."""
    if name not in (names := end_points(network)):
        raise ValueError(
            f'{network.name} has no block {name!r}; it has {", ".join(names)}'
        )


@functools.lru_cache(PROGRAMS)
def _softmax_program(
    network: Network, dtype: str, mesh: Mesh, mirrored: bool
) -> Callable:
    step = functools.partial(
        softmax_step, mirrored=mirrored, **_static_arguments(network, dtype)
    )
    return compile_evaluation(step, mesh)


@functools.lru_cache(PROGRAMS)
def _end_point_program(network: Network, dtype: str, mesh: Mesh, name: str) -> Callable:
    step = functools.partial(
        _end_point_step, name=name, **_static_arguments(network, dtype)
    )
    return compile_evaluation(step, mesh)


def _static_arguments(network: Network, dtype: str) -> dict:
    classifier = Classifier(network, dtype=jnp.dtype(dtype))
    scale = functools.partial(augment.to_range, pixel_range=network.pixel_range)
    return {'classifier': classifier, 'scale': scale}


def _end_point_step(
    variables, residual_scale, batch, *, classifier, scale, name
) -> Batch:
    outputs, state = classifier.apply(
        variables,
        scale(batch['image']),
        train=False,
        residual_scale=residual_scale,
        mutable=['intermediates'],
    )
    if name == POOL:
        features = outputs.features.astype(jnp.float32).mean(axis=(1, 2))
    elif name == LOGITS:
        features = outputs.logits
    else:
        (features,) = state['intermediates'][name]['output']
    return {
        'example': batch['example'],
        'mask': batch['mask'],
        'features': features.astype(jnp.float32),
    }


def _with_variables(program: Callable, trained: Trained) -> Callable[[Batch], Batch]:
    # Variables that are on the devices already are not copied.
    variables = jax.device_put(
        trained.variables, shardings(trained.variables, trained.mesh)
    )
    return lambda batch: program(
        variables, trained.scales, put_batch(batch, trained.mesh)
    )
