"""The functions that a benchmark measures: our train step and our forward pass.

No images, checkpoints or configs are read here, so JAX, Flax and Optax are enough.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.network import Network
from inception_jax.parallel.compile import compile_step, jit_for
from inception_jax.parallel.mesh import distribute, put_batch
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.state import initial_state
from inception_jax.steps.train_step import train_step

PARTS = ('forward', 'train')
STEPS_PER_EPOCH = 2_002.0  # 1,281,167 images, 640 a step

# The choices and numbers of configs/imagenet.py, but for colours, which no peer
# distorts on the device. A test holds the two together.
CHOICES = {
    'optimizer': 'rmsprop',
    'schedule': 'exponential',
    'clip': True,
    'initializer': 'he',
    'batch_norm_decay': 0.9997,
    'flip': True,
    'colour': 'none',
}
NUMBERS = {
    'learning_rate': 0.045,
    'warmup_epochs': 0.0,
    'warmup_learning_rate': None,
    'decay_rate': 0.94,
    'decay_epochs': 2.0,
    'momentum': 0.9,
    'rms_decay': 0.9,
    'rms_epsilon': 1.0,
    'clip_norm': 2.0,
    'weight_decay': 4e-5,
    'label_smoothing': 0.1,
    'auxiliary_weight': 0.4,
    'dropout_rate': None,
    'residual_scale': None,
    'residual_scale_start': None,
    'residual_scale_epochs': 0.0,
    'ema_decay': 0.9999,
}


class Workload(NamedTuple):
    """A jitted `function` of (state, batch), its first state, and `next_state`.

    `next_state` maps (state, result of the function) to the state of the next call. The
    train step donates the buffers of its state.
    """

    function: Callable
    state: Any
    next_state: Callable[[Any, Any], Any]


def imagenet_recipe(**choices: Any) -> Recipe:
    """Returns the ImageNet recipe with other choices, which must include `dtype`."""
    return Recipe(**CHOICES | choices)


def random_batch(network: Network, batch_size: int, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns a batch of random images and labels on the devices of the mesh.

    `image` is uint8 [batch, height, width, 3], `label` int32 [batch] and `example`
    uint32 [batch].
    """
    generator = np.random.default_rng(0)
    shape = (batch_size, network.input_size, network.input_size, 3)
    batch = {
        'image': generator.integers(256, size=shape, dtype=np.uint8),
        'label': generator.integers(network.classes, size=batch_size, dtype=np.int32),
        'example': np.arange(batch_size, dtype=np.uint32),
    }
    return put_batch(batch, mesh)


def workload(part: str, network: Network, recipe: Recipe, mesh: Mesh) -> Workload:
    """Returns the function of one of `PARTS`, not compiled, with its state on the mesh.

    Raises:
      KeyError: `part` is none of `PARTS`.
    """
    return {'forward': _forward, 'train': _train}[part](network, recipe, mesh)


def _classifier(network: Network, recipe: Recipe) -> Classifier:
    return Classifier(
        network,
        recipe.batch_norm_decay,
        dtype=jnp.dtype(recipe.dtype),
        execution=recipe.execution,
    )


def _forward(network: Network, recipe: Recipe, mesh: Mesh) -> Workload:
    classifier = _classifier(network, recipe)

    def forward(variables, batch):
        images = augment.to_range(batch['image'], network.pixel_range)
        return classifier.apply(variables, images, train=False).logits

    variables = initial_variables(network, seed=0, scheme=recipe.initializer)
    state = distribute(variables, mesh)
    return Workload(jit_for(mesh, forward), state, lambda state, result: state)


def _train(network: Network, recipe: Recipe, mesh: Mesh) -> Workload:
    step = functools.partial(
        train_step,
        classifier=_classifier(network, recipe),
        recipe=recipe,
        augment=functools.partial(
            augment.augment,
            flip=recipe.flip,
            colour=recipe.colour,
            pixel_range=network.pixel_range,
        ),
    )
    numbers = NUMBERS | {'epochs': 160.0, 'steps_per_epoch': STEPS_PER_EPOCH}
    state = initial_state(network, recipe, hparams_for(network, **numbers), seed=0)
    jitted = compile_step(step, mesh, donate_state=True)
    return Workload(jitted, distribute(state, mesh), lambda state, result: result[0])
