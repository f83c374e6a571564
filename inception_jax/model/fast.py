"""Fast execution of a block: its plan on arrays, as a function of its variables."""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from inception_jax.model import layers, pooling, space_to_depth
from inception_jax.model.block_plan import Product, Value, is_moving_average, plan_block
from inception_jax.model.execution import Execution
from inception_jax.model.initializers import training
from inception_jax.model.layers import per_channel
from inception_jax.model.tiling import POINTS, Tiling, tilings
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
)
from inception_jax.networks.shapes import window

Variables = dict[str, dict[str, Any]]


class BlockMode(NamedTuple):
    """How the blocks of one call compute; static.

    `train` is whether batch norm uses the statistics of the batch, over all devices
    along `axis_name`. With `observed` the parts of residual sums are returned.
    """

    execution: Execution
    dtype: jnp.dtype
    train: bool
    axis_name: str | None
    decay: float
    epsilon: float
    observed: bool


class BlockResult(NamedTuple):
    """A block's output, its statistics after it, `trunk` and `branch` of its sums."""

    output: jax.Array
    batch_stats: dict[str, Any]
    sums: dict[str, tuple[jax.Array, ...]]


# Compiled by itself, so that equal blocks are traced and differentiated once.
@functools.partial(jax.jit, static_argnums=(0, 1))
def apply_block_fast(
    op: Op,
    mode: BlockMode,
    variables: Variables,
    x: jax.Array,
    scales: Sequence[jax.Array],
    drop: tuple[jax.Array | None, jax.Array | float],
) -> BlockResult:
    """Applies a block to [batch, height, width, channels].

    Args:
      variables: `params` and `batch_stats` of the block.
      scales: one per residual sum.
      drop: a key per example, None for no dropout, and the share to drop.
    """
    execution = mode.execution
    steps = plan_block(
        op,
        x.shape[1:],
        siblings=execution.siblings,
        pool_last=execution.pool_last,
    )
    grids = tilings(steps) if execution.tiles else {}
    run = _Run(mode, variables, iter(scales), drop, grids, {}, {})
    found = {steps.input: x}
    for step in steps.steps:
        inputs = [found[value] for value in step.inputs]
        if isinstance(step, Product):
            found |= zip(step.members, run.product(step, *inputs), strict=True)
        else:
            found[step] = run.value(step, inputs)
    return BlockResult(found[steps.output], run.batch_stats, run.sums)


class _Run(NamedTuple):
    """One walk along a plan; it collects `batch_stats` and `sums`."""

    mode: BlockMode
    variables: Variables
    scales: Iterator[jax.Array]
    drop: tuple[jax.Array | None, jax.Array | float]
    grids: dict[Value, Tiling]
    batch_stats: dict[str, Any]
    sums: dict[str, tuple[jax.Array, ...]]

    def value(self, step: Value, inputs: list[jax.Array]) -> jax.Array:
        """Returns what a leaf, a concatenation or a sum makes of its inputs."""
        op, x = step.op, inputs[0]
        match op:
            case None:
                return jnp.concatenate(inputs, axis=-1)
            case Residual():
                return self.add(op, *inputs)
            case Conv():
                return self.convolution(step, x)
            case Pool() if step.inputs[0] in self.grids:
                sides = window(op, step.inputs[0].shape)
                return space_to_depth.max_pool_tiled(x, sides, step.shape[:2])
            case Pool():
                return self.pool(op, x)
            case Norm():
                return self.normalised([step], x, relu=op.relu)
            case Relu():
                return jax.nn.relu(x)
            case Scale():
                scale = self.own('params', step)['scale'].reshape(1, 1, 1, -1)
                return (x.astype(jnp.float32) * scale).astype(x.dtype)
            case Dropout():
                return layers.dropout(x, *self.drop)
            case Dense():
                params = self.own('params', step)
                flat = x.reshape(x.shape[0], -1)
                return flat @ params['kernel'] + params['bias'].reshape(1, -1)
            case Module():
                return self.module(step, x)

    def convolution(self, step: Value, x: jax.Array) -> jax.Array:
        """Returns a convolution with what follows it, in tiles if it stands so."""
        (source,) = step.inputs
        kernel = self.kernel([step], window(step.op, source.shape))
        before, after = (self.grids.get(grid, POINTS) for grid in (source, step))
        if before == after == POINTS:
            y = layers.convolve(x, kernel, step.op.stride, step.op.padding)
            return self.behind([step], y)
        y = space_to_depth.convolve_tiled(x, kernel, step, before, after)
        if after == POINTS:
            return self.behind([step], y)
        y = space_to_depth.inside_grid(y, step, after)
        return space_to_depth.inside_grid(self.behind([step], y), step, after)

    def product(self, step: Product, x: jax.Array) -> list[jax.Array]:
        """Returns the results of 1x1 convolutions on x, each behind its pool if any."""
        kernel = self.kernel(step.members, (1, 1))
        if self.mode.execution.products:
            y = layers.matrix_product(x, kernel)
        else:
            y = layers.convolve(x, kernel, 1, 'VALID')
        found = {}
        for pool, group in _by_pool(step):
            part = _columns(y, step.members, group)
            if pool:
                part = self.pool(pool, part)
            members = [step.members[i] for i in group]
            found |= zip(
                group, _split(self.behind(members, part), members), strict=True
            )
        return [found[i] for i in range(len(step.members))]

    def own(self, collection: str, step: Value) -> dict[str, Any]:
        return self.variables.get(collection, {}).get(step.name, {})

    def joined(self, collection: str, members: Sequence[Value], *path: str):
        """Returns an array of several leaves as one, along its last axis."""
        leaves = [self.own(collection, member) for member in members]
        arrays = [functools.reduce(dict.__getitem__, path, leaf) for leaf in leaves]
        return arrays[0] if len(arrays) == 1 else jnp.concatenate(arrays, axis=-1)

    def kernel(self, members: Sequence[Value], sides: tuple[int, int]) -> jax.Array:
        """Returns the kernel of convolutions that are computed as one."""
        kernel = self.joined('params', members, 'kernel')
        if kernel.shape[:2] != sides:
            raise ValueError(
                f'the kernel of {members[0].name} is {kernel.shape[:2]}, and on this '
                f'grid it is {sides}; use images of the input size of the network'
            )
        if self.folds(members):
            _, inverse, gamma, _ = self.stored(members)
            kernel = kernel * per_channel(inverse * gamma, kernel)
        return kernel.astype(self.mode.dtype)

    def folds(self, members: Sequence[Value]) -> bool:
        """Tells whether the batch norm of convolutions is part of their kernel."""
        by_batch = self.mode.train or members[0].op.linear
        return self.mode.execution.folded and not by_batch

    def behind(self, members: Sequence[Value], y: jax.Array) -> jax.Array:
        """Returns what follows the sums of convolutions: bias, or norm and ReLU."""
        if members[0].op.linear:
            bias = self.joined('params', members, 'bias')
            return y + per_channel(bias.astype(y.dtype), y)
        if self.folds(members):
            mean, inverse, gamma, bias = self.stored(members)
            shift = per_channel(bias - mean * inverse * gamma, y)
            return jax.nn.relu(y.astype(jnp.float32) + shift).astype(y.dtype)
        return self.normalised(members, y, relu=True)

    def normalised(self, members: Sequence[Value], y: jax.Array, *, relu: bool):
        """Returns the batch norm of several leaves, whose channels stand together."""
        y = y.astype(self.mode.dtype)
        if not self.mode.train:
            mean, inverse, gamma, bias = self.stored(members)
            return layers.affine(y, (mean, inverse), gamma, bias, relu=relu)
        mode = self.mode
        points = math.prod(members[0].shape[:2])
        how = relu, mode.axis_name, mode.epsilon, points
        y, moments = layers.normalised(*how, y, *self.parameters(members))
        self.update(members, *moments)
        return y

    def parameters(self, members: Sequence[Value]):
        """Returns gamma, ones where there is none, and bias of batch norm."""
        bias = self.joined('params', members, 'bn', 'bias')
        if 'scale' in self.own('params', members[0])['bn']:
            return self.joined('params', members, 'bn', 'scale'), bias
        return jnp.ones_like(bias), bias

    def stored(self, members: Sequence[Value]):
        """Returns mean and 1 / deviation as stored, gamma and bias of batch norm."""
        mean = self.joined('batch_stats', members, 'bn', 'mean')
        var = self.joined('batch_stats', members, 'bn', 'var')
        return mean, lax.rsqrt(var + self.mode.epsilon), *self.parameters(members)

    def update(self, members: Sequence[Value], mean: jax.Array, var: jax.Array) -> None:
        """Keeps the running statistics after those of a batch."""
        seen = zip(members, _split(mean, members), _split(var, members), strict=True)
        for member, *new in seen:
            before = self.own('batch_stats', member)['bn']
            after = {
                name: self.mode.decay * before[name] + (1 - self.mode.decay) * x
                for name, x in zip(('mean', 'var'), new, strict=True)
            }
            self.batch_stats[member.name] = {'bn': after}

    def pool(self, op: Pool, x: jax.Array) -> jax.Array:
        if not self.mode.execution.slices:
            return pooling.pool(op, x)
        sides = window(op, x.shape[1:])
        if op.kind == 'max':
            return pooling.sliced_max_pool(x, sides, op.stride, op.padding)
        around = op.padding == 'SAME' and all(side % 2 for side in sides)
        if is_moving_average(op) and around:
            return pooling.sliced_average(x, sides, op.count_padding)
        return pooling.pool(op, x)

    def add(self, op: Residual, x: jax.Array, branch: jax.Array) -> jax.Array:
        if self.mode.observed:
            for name, part in (('trunk', x), ('branch', branch)):
                self.sums[name] = (*self.sums.get(name, ()), part)
        scale = next(self.scales)
        total = layers.residual_sum(x, branch, scale, relu=op.relu)
        if not self.mode.execution.kept:
            return total
        # Without training the scale may be a constant, which XLA would see through.
        number = scale if self.mode.train else total
        return layers.compute_once(total, number)

    def module(self, step: Value, x: jax.Array) -> jax.Array:
        """Applies a module of the user's."""
        module = step.op.make()
        own = {name: self.own(name, step) for name in self.variables}
        own = {name: tree for name, tree in own.items() if tree}
        mutable = ['batch_stats'] if self.mode.train else []
        y, after = module.apply(
            own, x, mutable=mutable, **training(module, self.mode.train)
        )
        if 'batch_stats' in after:
            self.batch_stats[step.name] = after['batch_stats']
        return y


def _by_pool(step: Product) -> list[tuple[Pool | None, list[int]]]:
    """Groups the members that are normalised together: those without a pool."""
    alone = [(pool, [i]) for i, pool in enumerate(step.pools) if pool]
    rest = [i for i, pool in enumerate(step.pools) if not pool]
    return [*alone, (None, rest)] if rest else alone


def _columns(y, members: Sequence[Value], wanted: list[int]):
    """Returns the channels of some members of a product."""
    if len(wanted) == len(members):
        return y
    parts = _split(y, members)
    return jnp.concatenate([parts[i] for i in wanted], axis=-1)


def _split(y, members: Sequence[Value]) -> list:
    """Cuts channels into those of each member."""
    widths = [member.shape[2] for member in members]
    return jnp.split(y, [*itertools.accumulate(widths)][:-1], axis=-1)
