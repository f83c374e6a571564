"""Fast execution of a block: a pure function that computes the block's plan."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from inception_jax.model import layers, pooling, space_to_depth
from inception_jax.model.block_plan import (
    Plan,
    Product,
    Value,
    is_moving_average,
    plan_block,
)
from inception_jax.model.execution import Execution
from inception_jax.model.initializers import training
from inception_jax.model.layers import per_channel
from inception_jax.model.tiling import POINTS, tilings
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
from inception_jax.runtime.amounts import counted

Variables = dict[str, dict[str, Any]]


class FastMode(NamedTuple):
    """How a block computes: a hashable static argument.

    Attributes:
      execution: the optimizations of the platform.
      dtype: the dtype of the convolutions.
      train: whether batch norm uses the statistics of the batch.
      axis_name: the mapped axis over which batch statistics are averaged, or None.
      decay: the decay of the running batch statistics.
      epsilon: the number that batch norm adds to the variance.
      observed: whether the trunk and branch of residual sums are returned.
    """

    execution: Execution
    dtype: jnp.dtype
    train: bool
    axis_name: str | None
    decay: float
    epsilon: float
    observed: bool


class BlockResult(NamedTuple):
    """The result of a block.

    Attributes:
      output: [batch, height, width, channels].
      batch_stats: the updated running statistics; empty unless training.
      sums: `trunk` and `branch` of each residual sum; empty unless observed.
    """

    output: jax.Array
    batch_stats: dict[str, Any]
    sums: dict[str, tuple[jax.Array, ...]]


# Jitted, so that equal blocks are traced and differentiated once.
@functools.partial(jax.jit, static_argnums=(0, 1))
def apply_block(
    op: Op,
    mode: FastMode,
    variables: Variables,
    x: jax.Array,
    scales: Sequence[jax.Array],
    drop: tuple[jax.Array | None, jax.Array | float],
) -> BlockResult:
    """Applies a block to [batch, height, width, channels].

    Args:
      variables: `params` and `batch_stats` of the block.
      scales: one per residual sum.
      drop: a dropout key per example, or None for no dropout, and the dropout rate.
    """
    plan = plan_block(
        op,
        x.shape[1:],
        siblings=mode.execution.siblings,
        pool_last=mode.execution.pool_last,
    )
    runner = _BlockRunner(plan, mode, variables, scales, drop)
    return BlockResult(runner.run(x), runner.batch_stats, runner.sums)


class _BlockRunner:
    """Computes the steps of a plan in order; collects `batch_stats` and `sums`."""

    def __init__(self, plan: Plan, mode: FastMode, variables: Variables, scales, drop):
        self.plan = plan
        self.mode = mode
        self.variables = variables
        self.scales = iter(scales)
        self.drop = drop
        self.tilings = tilings(plan) if mode.execution.tiles else {}
        self.batch_stats: dict[str, Any] = {}
        self.sums: dict[str, tuple[jax.Array, ...]] = {}

    def run(self, x: jax.Array) -> jax.Array:
        """Returns the block's output for its input x."""
        arrays = {self.plan.input: x}
        for step in self.plan.steps:
            inputs = [arrays[value] for value in step.inputs]
            if isinstance(step, Product):
                products = self.product(step, *inputs)
                arrays |= zip(step.members, products, strict=True)
            else:
                arrays[step] = self.value(step, inputs)
        return arrays[self.plan.output]

    def value(self, step: Value, inputs: list[jax.Array]) -> jax.Array:
        """Computes a leaf, a concatenation or a residual sum."""
        op, x = step.op, inputs[0]
        match op:
            case None:
                return jnp.concatenate(inputs, axis=-1)
            case Residual():
                return self.residual_sum(op, *inputs)
            case Conv():
                return self.convolution(step, x)
            case Pool() if step.inputs[0] in self.tilings:
                sides = window(op, step.inputs[0].shape)
                return space_to_depth.max_pool_tiled(x, sides, step.shape[:2])
            case Pool():
                return self.pool(op, x)
            case Norm():
                return self.batch_norm([step], x, relu=op.relu)
            case Relu():
                return jax.nn.relu(x)
            case Scale():
                scale = self.leaf('params', step)['scale'].reshape(1, 1, 1, -1)
                return (x.astype(jnp.float32) * scale).astype(x.dtype)
            case Dropout():
                return layers.dropout(x, *self.drop)
            case Dense():
                params = self.leaf('params', step)
                _check_filters(step, params['kernel'], op.units)
                flat = x.reshape(x.shape[0], -1)
                return flat @ params['kernel'] + params['bias'].reshape(1, -1)
            case Module():
                return self.module(step, x)

    def convolution(self, step: Value, x: jax.Array) -> jax.Array:
        """Computes a convolution, in tiles where its input or output is tiled, and then
        its batch norm and ReLU, or its bias.
        """
        (source,) = step.inputs
        kernel = self.kernel([step], window(step.op, source.shape))
        before, after = (self.tilings.get(grid, POINTS) for grid in (source, step))
        if before == after == POINTS:
            y = layers.convolve(x, kernel, step.op.stride, step.op.padding)
            return self.after_convolution([step], y)
        y = space_to_depth.convolve_tiled(x, kernel, step, before, after)
        if after == POINTS:
            return self.after_convolution([step], y)
        y = space_to_depth.inside_grid(y, step, after)
        y = self.after_convolution([step], y)
        return space_to_depth.inside_grid(y, step, after)

    def product(self, step: Product, x: jax.Array) -> list[jax.Array]:
        """Computes 1x1 convolutions on x as one product, with each pool after it."""
        kernel = self.kernel(step.members, (1, 1))
        if self.mode.execution.products:
            y = layers.matrix_product(x, kernel)
        else:
            y = layers.convolve(x, kernel, 1, 'VALID')
        outputs = {}
        for pool, group in _groups_by_pool(step):
            part = _select_channels(y, step.members, group)
            if pool:
                part = self.pool(pool, part)
            members = [step.members[i] for i in group]
            part = self.after_convolution(members, part)
            outputs |= zip(group, _split_channels(part, members), strict=True)
        return [outputs[i] for i in range(len(step.members))]

    def leaf(self, collection: str, step: Value) -> dict[str, Any]:
        """Returns the variables of a leaf, {} for a leaf without variables."""
        return self.variables.get(collection, {}).get(step.name, {})

    def joined(self, collection: str, members: Sequence[Value], *path: str):
        """Concatenates an array of several leaves along its last axis.

        Raises:
          ValueError: the variables lack the array.
        """
        leaves = [self.leaf(collection, member) for member in members]
        try:
            arrays = [functools.reduce(dict.__getitem__, path, leaf) for leaf in leaves]
        except KeyError:
            raise ValueError(
                f'the variables have no {"/".join(path)} of {members[0].name} in '
                f'{collection}; use the params and batch_stats of this network'
            ) from None
        return arrays[0] if len(arrays) == 1 else jnp.concatenate(arrays, axis=-1)

    def kernel(self, members: Sequence[Value], sides: tuple[int, int]) -> jax.Array:
        """Returns the kernel of convolutions that are computed as one.

        Raises:
          ValueError: the stored kernel has another height or width than `sides`, or
            other filters than the network.
        """
        kernel = self.joined('params', members, 'kernel')
        _check_filters(members[0], kernel, sum(member.op.filters for member in members))
        if kernel.shape[:2] != sides:
            raise ValueError(
                f'the kernel of {members[0].name} is {kernel.shape[:2]}, but on this '
                f'grid it is {sides}; use images of the input size of the network'
            )
        if self.folds_batch_norm(members):
            _, inverse, gamma, _ = self.stored_batch_norm(members)
            kernel = kernel * per_channel(inverse * gamma, kernel)
        return kernel.astype(self.mode.dtype)

    def folds_batch_norm(self, members: Sequence[Value]) -> bool:
        """Returns whether the batch norm of convolutions is part of their kernel."""
        by_batch = self.mode.train or members[0].op.linear
        return self.mode.execution.folded and not by_batch

    def after_convolution(self, members: Sequence[Value], y: jax.Array) -> jax.Array:
        """Adds the bias of linear convolutions, or applies batch norm and ReLU."""
        if members[0].op.linear:
            bias = self.joined('params', members, 'bias')
            return y + per_channel(bias.astype(y.dtype), y)
        if self.folds_batch_norm(members):
            mean, inverse, gamma, bias = self.stored_batch_norm(members)
            shift = per_channel(bias - mean * inverse * gamma, y)
            return jax.nn.relu(y.astype(jnp.float32) + shift).astype(y.dtype)
        return self.batch_norm(members, y, relu=True)

    def batch_norm(self, members: Sequence[Value], y: jax.Array, *, relu: bool):
        """Applies the batch norm of several leaves to their concatenated channels."""
        y = y.astype(self.mode.dtype)
        if not self.mode.train:
            mean, inverse, gamma, bias = self.stored_batch_norm(members)
            return layers.affine(y, (mean, inverse), gamma, bias, relu=relu)
        mode = self.mode
        points = math.prod(members[0].shape[:2])
        static = relu, mode.axis_name, mode.epsilon, points
        y, moments = layers.normalised(*static, y, *self.gamma_and_bias(members))
        self.update_batch_stats(members, *moments)
        return y

    def gamma_and_bias(self, members: Sequence[Value]) -> tuple[jax.Array, jax.Array]:
        """Returns gamma and bias of batch norm; a missing gamma is 1."""
        bias = self.joined('params', members, 'bn', 'bias')
        if 'scale' in self.leaf('params', members[0])['bn']:
            return self.joined('params', members, 'bn', 'scale'), bias
        return jnp.ones_like(bias), bias

    def stored_batch_norm(self, members: Sequence[Value]) -> tuple[jax.Array, ...]:
        """Returns stored mean and 1 / deviation, then gamma and bias, of batch norm."""
        mean = self.joined('batch_stats', members, 'bn', 'mean')
        var = self.joined('batch_stats', members, 'bn', 'var')
        return mean, lax.rsqrt(var + self.mode.epsilon), *self.gamma_and_bias(members)

    def update_batch_stats(
        self, members: Sequence[Value], mean: jax.Array, var: jax.Array
    ) -> None:
        """Moves the running statistics towards the moments of a batch."""
        means, variances = (_split_channels(x, members) for x in (mean, var))
        for member, *moments in zip(members, means, variances, strict=True):
            before = self.leaf('batch_stats', member)['bn']
            after = {
                name: self.mode.decay * before[name] + (1 - self.mode.decay) * x
                for name, x in zip(('mean', 'var'), moments, strict=True)
            }
            self.batch_stats[member.name] = {'bn': after}

    def pool(self, op: Pool, x: jax.Array) -> jax.Array:
        if not self.mode.execution.slices:
            return pooling.pool(op, x)
        sides = window(op, x.shape[1:])
        if op.kind == 'max':
            return pooling.sliced_max_pool(x, sides, op.stride, op.padding)
        centred = op.padding == 'SAME' and all(side % 2 for side in sides)
        if is_moving_average(op) and centred:
            return pooling.sliced_average(x, sides, op.count_padding)
        return pooling.pool(op, x)

    def residual_sum(self, op: Residual, x: jax.Array, branch: jax.Array) -> jax.Array:
        if self.mode.observed:
            for name, part in (('trunk', x), ('branch', branch)):
                self.sums[name] = (*self.sums.get(name, ()), part)
        scale = next(self.scales)
        total = layers.residual_sum(x, branch, scale, relu=op.relu)
        if not self.mode.execution.kept:
            return total
        # In evaluation the scale may be a constant, which XLA would simplify away.
        number = scale if self.mode.train else total
        return layers.compute_once(total, number)

    def module(self, step: Value, x: jax.Array) -> jax.Array:
        """Applies a user-defined module."""
        module = step.op.make()
        variables = {name: self.leaf(name, step) for name in self.variables}
        variables = {name: tree for name, tree in variables.items() if tree}
        mutable = ['batch_stats'] if self.mode.train else []
        y, updated = module.apply(
            variables, x, mutable=mutable, **training(module, self.mode.train)
        )
        if 'batch_stats' in updated:
            self.batch_stats[step.name] = updated['batch_stats']
        return y


def _groups_by_pool(step: Product) -> list[tuple[Pool | None, list[int]]]:
    """Groups the members of a product: each pool alone, then all without a pool."""
    groups = [(pool, [i]) for i, pool in enumerate(step.pools) if pool]
    rest = [i for i, pool in enumerate(step.pools) if not pool]
    return [*groups, (None, rest)] if rest else groups


def _select_channels(y, members: Sequence[Value], selected: list[int]):
    """Returns the channels of some members of a product."""
    if len(selected) == len(members):
        return y
    parts = _split_channels(y, members)
    return jnp.concatenate([parts[i] for i in selected], axis=-1)


def _split_channels(y, members: Sequence[Value]) -> list:
    """Splits an array into the channels of each member."""
    widths = [member.shape[2] for member in members]
    return jnp.split(y, [*itertools.accumulate(widths)][:-1], axis=-1)


def _check_filters(step: Value, kernel: jax.Array, filters: int) -> None:
    """Raises ValueError for the variables of another network."""
    if kernel.shape[-1] != filters:
        raise ValueError(
            f'the kernel of {step.name} has {counted(kernel.shape[-1], "filter")}, but '
            f'in the network it has {filters}; use the variables of this network'
        )
