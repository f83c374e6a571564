"""What is measured of a network: the product's train step, and its forward pass.

Nothing here reads images, checkpoints or configs, so JAX, Flax and Optax are enough.
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
from inception_jax.parallel.compile import compiled_train_step
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


class Work(NamedTuple):
    """A jitted function of (state, batch), the state, and the next one of (state,
    result): of a train step, which takes the buffers of the state, the first result.
    """

    function: Callable
    state: Any
    after: Callable[[Any, Any], Any]


def recipe_of(**choices: Any) -> Recipe:
    """Returns the recipe of ImageNet with some choices, `dtype` among them."""
    return Recipe(**CHOICES | choices)


def classifier_of(network: Network, recipe: Recipe) -> Classifier:
    """Returns the classifier that a recipe names; all options of it are given here."""
    return Classifier(
        network,
        recipe.batch_norm_decay,
        dtype=jnp.dtype(recipe.dtype),
        execution=recipe.execution,
    )


def batch_of(network: Network, batch_size: int, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns a batch of noise in its place on the devices."""
    generator = np.random.default_rng(0)
    shape = (batch_size, network.input_size, network.input_size, 3)
    batch = {
        'image': generator.integers(256, size=shape, dtype=np.uint8),
        'label': generator.integers(network.classes, size=batch_size, dtype=np.int32),
        'example': np.arange(batch_size, dtype=np.uint32),
    }
    return put_batch(batch, mesh)


def work_of(part: str, network: Network, recipe: Recipe, mesh: Mesh) -> Work:
    """Returns one of `PARTS`, neither traced nor compiled; its state is in place."""
    return {'forward': _forward, 'train': _train}[part](network, recipe, mesh)


def _forward(network: Network, recipe: Recipe, mesh: Mesh) -> Work:
    classifier = classifier_of(network, recipe)

    def forward(variables, batch):
        images = augment.to_range(batch['image'], network.pixel_range)
        return classifier.apply(variables, images, train=False).logits

    variables = initial_variables(network, seed=0, scheme=recipe.initializer)
    placed = distribute(variables, mesh)
    return Work(jax.jit(forward), placed, lambda state, result: state)


def _train(network: Network, recipe: Recipe, mesh: Mesh) -> Work:
    step = functools.partial(
        train_step,
        classifier=classifier_of(network, recipe),
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
    jitted = compiled_train_step(step, mesh, 'jit')
    return Work(jitted, distribute(state, mesh), lambda state, result: result[0])
