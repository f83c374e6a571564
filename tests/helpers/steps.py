"""A recipe, hyper-parameters, batches and states for tests of single steps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from helpers.tiny import NET

from inception_jax.data import augment
from inception_jax.model.classifier import Classifier
from inception_jax.networks import load
from inception_jax.steps.eval_step import eval_step
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.recipe import Recipe
from inception_jax.steps.state import initial_state
from inception_jax.steps.train_step import train_step

RECIPE = Recipe(
    optimizer='rmsprop',
    schedule='exponential',
    clip=False,
    initializer='he',
    batch_norm_decay=0.9,
    dtype='float32',
    flip=False,
    colour='none',
)


def hparams(**changes):
    values = {
        'learning_rate': 0.045,
        'warmup_epochs': 0.0,
        'warmup_learning_rate': None,
        'decay_rate': 0.94,
        'decay_epochs': 2.0,
        'momentum': 0.9,
        'rms_decay': 0.9,
        'rms_epsilon': 1.0,
        'clip_norm': 2.0,
        'weight_decay': 0.0,
        'label_smoothing': 0.1,
        'auxiliary_weight': 0.4,
        'dropout_rate': None,
        'residual_scale': None,
        'residual_scale_start': None,
        'residual_scale_epochs': 0.0,
        'ema_decay': 0.9999,
        'epochs': 200.0,
        'steps_per_epoch': 2002.0,
    }
    return hparams_for(load('inception_resnet_v1'), **values | changes)


NUMBERS = {
    'learning_rate': 0.01,
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
    'dropout_rate': 0.2,
    'residual_scale': None,
    'residual_scale_start': None,
    'residual_scale_epochs': 0.0,
    'ema_decay': 0.99,
    'epochs': 10.0,
    'steps_per_epoch': 100.0,
}


DISTORT = functools.partial(
    augment.augment, flip=True, colour='none', pixel_range=(-1.0, 1.0)
)


def batch(examples=16, seed=0):
    generator = np.random.default_rng(seed)
    return {
        'image': generator.integers(0, 256, (examples, 16, 16, 3), np.uint8),
        'label': generator.integers(0, 10, examples, np.int32),
        'example': np.arange(examples, dtype=np.uint32),
    }


def begin(**changes):
    hparams = hparams_for(NET, **(NUMBERS | changes))
    state = initial_state(NET, RECIPE, hparams, seed=0)
    return jax.tree.map(jnp.asarray, state)


def stepper(recipe=RECIPE, **options):
    return functools.partial(
        train_step,
        classifier=Classifier(NET, recipe.batch_norm_decay),
        recipe=recipe,
        augment=DISTORT,
        **options,
    )


def evaluate(variables, examples, scale=(0.2, 0.2)):
    return eval_step(
        variables,
        jnp.array(scale),
        examples,
        classifier=Classifier(NET, 0.9),
        scale=functools.partial(augment.to_range, pixel_range=(-1.0, 1.0)),
    )
