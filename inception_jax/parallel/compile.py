"""Compiles a step for the devices of a mesh, with jit, shard_map or pmap."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, PartitionSpec

from inception_jax.parallel.mesh import (
    DATA,
    MODES,
    batch_sharding,
    platform_of,
    replicated,
    shardings,
)
from inception_jax.runtime import choices
from inception_jax.runtime.compiler_options import compiler_options
from inception_jax.steps.forward import identity


def jit_for(mesh: Mesh, function: Callable, **options) -> Callable:
    """Returns `jax.jit` of a function, with the compiler options of a mesh's devices.

    `jax.pmap` accepts no compiler options.
    """
    options['compiler_options'] = compiler_options(platform_of(mesh))
    return jax.jit(function, **options)


def compile_step(
    function: Callable, mesh: Mesh, mode: str = 'jit', *, donate_state: bool = False
) -> Callable:
    """Compiles `function(state, batch, mean=)` for a batch that is split over a mesh.

    In every mode, loss, gradients and metrics are computed over the whole batch. So are
    the batch statistics if the function averages them. The first call compiles.

    Args:
      function: `train_step`, `diagnose`, or a function like them. `mean` averages a
        tree over the devices, each of which has a part of the batch.
      mode: jit, shard_map or pmap, see `mesh.Parallel`.
      donate_state: whether the buffers of the state are reused for the result; the
        state passed in is then no longer usable.

    Returns:
      A function of (state, batch).

    >>> import jax.numpy as jnp
    >>> from inception_jax.parallel.mesh import device_mesh
    >>> def add_mean(state, batch, mean):
    ...     return state + mean(batch['image'].mean())
    >>> step = compile_step(add_mean, device_mesh())
    >>> float(step(jnp.float32(1), {'image': jnp.full(8, 2.0)}))
    3.0
    """
    choices.check('mode', mode, MODES)
    name = getattr(function, 'func', function).__name__
    donated = (0,) if donate_state else ()
    if mode == 'jit':

        def whole(state, batch):
            result = function(state, batch, mean=identity)
            return jax.lax.with_sharding_constraint(result, shardings(result, mesh))

        return jit_for(mesh, _named(whole, name), donate_argnums=donated)
    mean = functools.partial(jax.lax.pmean, axis_name=DATA)
    part = _named(functools.partial(function, mean=mean), name)
    if mode == 'shard_map':
        # The function itself averages; the checks of shard_map would average again.
        mapped = jax.shard_map(
            part,
            mesh=mesh,
            in_specs=(PartitionSpec(), batch_sharding(mesh).spec),
            out_specs=PartitionSpec(),
            check_vma=False,
        )
        return jit_for(mesh, _named(mapped, name), donate_argnums=donated)
    mapped = jax.pmap(
        part,
        axis_name=DATA,
        in_axes=(None, 0),
        out_axes=None,
        donate_argnums=donated,
        devices=None if mesh.size == jax.device_count() else [*mesh.devices.flat],
    )
    split = jax.jit(functools.partial(_parted, devices=mesh.size))
    return lambda state, batch: mapped(state, split(batch))


def compile_evaluation(function: Callable, mesh: Mesh) -> Callable:
    """Compiles a function of arrays and replicates its results on every device.

    `eval_step` and `softmax_step` need this, because every process reads their results.
    """
    return jit_for(mesh, function, out_shardings=replicated(mesh))


def compile_probe(probe: Callable, mesh: Mesh) -> Callable:
    """Compiles `probe(inputs, batch)` with full float32 precision of products.

    By default, accelerators multiply with lower precision, which hides small
    derivatives.
    """

    def precise(inputs, batch):
        with jax.default_matmul_precision('highest'):
            return probe(inputs, batch)

    return jit_for(mesh, precise, out_shardings=replicated(mesh))


def _named(function: Callable, name: str) -> Callable:
    """Names a function; a compiled program has the name of its function."""
    function.__name__ = name
    return function


def _parted(batch: dict[str, Any], devices: int) -> dict[str, Any]:
    return jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)
