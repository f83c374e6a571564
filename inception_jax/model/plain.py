"""Plain execution of a block: one linen module per layer."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from inception_jax.model import pooling
from inception_jax.model.initializers import training
from inception_jax.model.layers import convolve, dropout, residual_sum
from inception_jax.networks.ops import (
    Conv,
    Dense,
    Dropout,
    Module,
    Norm,
    Op,
    Pool,
    Relu,
    Residual,
    Scale,
    interpret,
)
from inception_jax.networks.shapes import scale_shape, window

# Linen needs an initializer for every parameter. The package draws initial values with
# `initializers.initial_variables`; this initializer serves `Classifier.init` only.
_KERNEL_INIT = nn.initializers.he_normal()


class PlainMode(NamedTuple):
    """How a block computes: `batch_norm` creates the module of a batch norm."""

    dtype: jnp.dtype
    batch_norm: Callable[..., nn.BatchNorm]
    train: bool


class PlainBlock(nn.Module):
    """A block as a module; its parameters have the paths block/leaf."""

    op: Op
    mode: PlainMode

    @nn.compact
    def __call__(self, x, scales, drop):
        x = interpret(self.op, x, _Arrays(self, self.mode, iter(scales), drop))
        self.sow('intermediates', 'output', x)
        return x


class _Arrays(NamedTuple):
    """A reading of ops on arrays [batch, height, width, channels] (`ops.Reading`)."""

    block: nn.Module
    mode: PlainMode
    scales: Iterator[jax.Array]
    drop: tuple[jax.Array | None, jax.Array | float]

    def width(self, x):
        return x.shape[-1]

    def concat(self, xs):
        return jnp.concatenate(xs, axis=-1)

    def add(self, op: Residual, x, branch):
        self.block.sow('intermediates', 'trunk', x)
        self.block.sow('intermediates', 'branch', branch)
        return residual_sum(x, branch, next(self.scales), relu=op.relu)

    def leaf(self, name: str, op: Op, x):
        match op:
            case Conv():
                return _Convolution(op, name=name)(x, self.mode)
            case Pool():
                return pooling.pool(op, x)
            case Norm():
                return _Norm(op, name=name)(x, self.mode)
            case Relu():
                return nn.relu(x)
            case Scale():
                return _Scale(op, name=name)(x)
            case Dropout():
                return dropout(x, *self.drop)
            case Dense():
                dense = nn.Dense(op.units, kernel_init=_KERNEL_INIT, name=name)
                return dense(x.reshape(x.shape[0], -1))
            case Module():
                module = op.make().clone(parent=self.block, name=name)
                return module(x, **training(module, self.mode.train))


class _Convolution(nn.Module):
    """A convolution with batch norm and ReLU; a linear one has only a bias."""

    op: Conv

    @nn.compact
    def __call__(self, x, mode):
        op, dtype = self.op, mode.dtype
        shape = (*window(op, x.shape[1:]), x.shape[-1], op.filters)
        kernel = self.param('kernel', _KERNEL_INIT, shape)
        x = convolve(x, kernel.astype(dtype), op.stride, op.padding)
        if op.linear:
            bias = self.param('bias', nn.initializers.zeros_init(), (op.filters,))
            return x + bias.astype(dtype).reshape(1, 1, 1, -1)
        return _batch_norm(x, mode, relu=True)


class _Norm(nn.Module):
    """Batch norm, followed by ReLU if the op has one."""

    op: Norm

    @nn.compact
    def __call__(self, x, mode):
        return _batch_norm(x, mode, relu=self.op.relu)


def _batch_norm(x, mode: PlainMode, *, relu: bool):
    """Applies batch norm as the submodule `bn` of the calling module."""
    x = mode.batch_norm(name='bn')(x.astype(jnp.float32)).astype(mode.dtype)
    return nn.relu(x) if relu else x


class _Scale(nn.Module):
    """A multiplication by learned numbers."""

    op: Scale

    @nn.compact
    def __call__(self, x):
        initial = nn.initializers.constant(self.op.initial)
        shape = scale_shape(self.op, x.shape[-1])
        scale = self.param('scale', initial, shape).reshape(1, 1, 1, -1)
        # In float32 like the residual sum.
        return (x.astype(jnp.float32) * scale).astype(x.dtype)
