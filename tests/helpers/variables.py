"""Random variables of a network, and the shapes of variables."""

import jax
import numpy as np
from flax import linen as nn

from inception_jax.model.initializers import initial_variables
from inception_jax.networks import Module


def random_variables(net):
    """Returns variables whose statistics, shifts, gammas and biases all count."""
    start = initial_variables(net, seed=0, scheme='he')
    generator = np.random.default_rng(0)

    def draw(path, x):
        match path[-1].key:
            case 'kernel':
                return x
            case 'var':
                return generator.uniform(0.3, 3, x.shape).astype(np.float32)
            case 'scale':
                return generator.uniform(0.5, 1.5, x.shape).astype(np.float32)
        return (0.3 * generator.standard_normal(x.shape)).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, start)


def shapes(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


class Shift(nn.Module):
    """A module with a parameter and a statistic."""

    @nn.compact
    def __call__(self, x):
        shift = self.param('shift', nn.initializers.zeros_init(), x.shape[-1:])
        mean = self.variable('batch_stats', 'mean', np.zeros, x.shape[-1:], np.float32)
        return x + (shift - mean.value).reshape(1, 1, 1, -1)


SHIFT = Module(Shift, lambda shape: shape[2], lambda shape: 0)
