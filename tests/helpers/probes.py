"""A network of 224 parameters, and probes compiled for it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.model.classifier import Classifier
from inception_jax.model.initializers import initial_variables
from inception_jax.networks import chain, conv, max_pool, one, residual, stage
from inception_jax.networks import network as make_network
from inception_jax.networks.network import Auxiliary
from inception_jax.steps.hparams import Hparams

# 224 parameters, with a maximum, residual sums and an auxiliary head.
NET = make_network(
    'net',
    one('stem', chain(conv(4, 3, 2), max_pool(2, 2))),
    stage('a', 2, residual(conv(3), scale=0.3)),
    auxiliary=Auxiliary('stem', conv(2)),
    classes=5,
    input_size=8,
)


CLASSIFIER = Classifier(NET, 0.9)


SCALES = np.array([0.3, 0.5], np.float32)


UNREAD = {field.name: np.float32(np.nan) for field in dataclasses.fields(Hparams)}


READ = {'label_smoothing': np.float32(0.1), 'auxiliary_weight': np.float32(0.4)}


HPARAMS = Hparams(**(UNREAD | READ))


def start(network=NET):
    """Returns variables whose shifts and biases are not zero."""
    generator = np.random.default_rng(1)
    variables = initial_variables(network, seed=0, scheme='he')
    return variables | {
        'params': jax.tree.map(
            lambda x: (x + generator.normal(0, 0.2, x.shape)).astype(np.float32),
            variables['params'],
        )
    }


def examples(count=8, size=8, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.uniform(-1, 1, (count, size, size, 3)).astype(np.float32)
    return images, generator.integers(0, 5, count, np.int32)


@functools.cache
def compiled(probe, classifier=CLASSIFIER, **options):
    return jax.jit(functools.partial(probe, classifier=classifier, **options))


@jax.jit
def outputs_at(params, scales, images):
    variables = start() | {'params': params}
    return CLASSIFIER.apply(
        variables, images, train=True, residual_scale=scales, mutable=['batch_stats']
    )[0]


@jax.jit
def loss_at(params, scales, images, labels):
    """Writes the objective out: smoothed labels, an auxiliary head of weight 0.4."""
    outputs = outputs_at(params, scales, images)
    targets = 0.9 * jnp.eye(5)[labels] + 0.1 / 5
    main, auxiliary = (
        -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(logits), axis=-1))
        for logits in (outputs.logits, outputs.auxiliary_logits)
    )
    return main + 0.4 * auxiliary


@functools.cache
def dense_hessian():
    """Returns the Hessian of the loss in the 224 parameters, from its definition."""
    flat, unravel = jax.flatten_util.ravel_pytree(start()['params'])
    images, labels = examples()
    hessian = jax.hessian(lambda x: loss_at(unravel(x), SCALES, images, labels))
    return np.asarray(jax.jit(hessian)(flat))
