"""How a step is compiled: by jit, shard_map or pmap."""

import functools
from collections.abc import Callable

import jax
from jax.sharding import Mesh, PartitionSpec

from inception_jax.parallel.mesh import (
    DATA,
    _settled,
    batch_sharding,
    platform_of,
    replicated,
)
from inception_jax.runtime.compiler_options import compiler_options
from inception_jax.steps.train_step import itself


def jit_for(mesh: Mesh, function: Callable, **options) -> Callable:
    """Returns `jax.jit` of a function, with the compiler options of a mesh's devices.

    pmap takes no such options.
    """
    options['compiler_options'] = compiler_options(platform_of(mesh))
    return jax.jit(function, **options)


def compiled_train_step(step: Callable, mesh: Mesh, mode: str) -> Callable:
    """Compiles `step(state, batch, mean=)` -> (state, metrics); donates the state.

    Under every mode the loss, the gradients and the metrics are those of the global
    batch, and so are the batch statistics if the step averages them.
    """
    return _over_batch(step, mesh, mode, donate=(0,))


def compiled_look(look: Callable, mesh: Mesh, mode: str) -> Callable:
    """Compiles `look(state, batch, mean=)`, which leaves the state alone."""
    return _over_batch(look, mesh, mode, donate=())


def _over_batch(function: Callable, mesh: Mesh, mode: str, donate) -> Callable:
    """Compiles a function of a state and a batch, which averages over its devices."""
    name = getattr(function, 'func', function).__name__
    if mode == 'jit':

        def whole(state, batch):
            return _settled(function(state, batch, mean=itself), mesh)

        return jit_for(mesh, _named(whole, name), donate_argnums=donate)
    mean = functools.partial(jax.lax.pmean, axis_name=DATA)
    part = _named(functools.partial(function, mean=mean), name)
    if mode == 'shard_map':
        # The step says itself what is averaged; the checks would average once more.
        mapped = jax.shard_map(
            part,
            mesh=mesh,
            in_specs=(PartitionSpec(), batch_sharding(mesh).spec),
            out_specs=PartitionSpec(),
            check_vma=False,
        )
        return jit_for(mesh, _named(mapped, name), donate_argnums=donate)
    mapped = jax.pmap(
        part,
        axis_name=DATA,
        in_axes=(None, 0),
        out_axes=None,
        donate_argnums=donate,
        devices=None if mesh.size == jax.device_count() else [*mesh.devices.flat],
    )
    parted = jax.jit(functools.partial(_parted, devices=mesh.size))
    return lambda state, batch: mapped(state, parted(batch))


def _named(function: Callable, name: str) -> Callable:
    """A compiled program is known by the name of its function."""
    function.__name__ = name
    return function


def _parted(batch: dict, devices: int) -> dict:
    return jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)


def compiled_probe(probe: Callable, mesh: Mesh) -> Callable:
    """Compiles `probe(given, batch)` in float32 that is not rounded on the way.

    Accelerators multiply in fewer bits unless asked, which drowns small derivatives.
    """

    def precise(given, batch):
        with jax.default_matmul_precision('highest'):
            return probe(given, batch)

    return jit_for(mesh, precise, out_shardings=replicated(mesh))


def compiled_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """Compiles `step(variables, residual_scale, batch)` -> sums over the batch."""
    return jit_for(mesh, step, out_shardings=replicated(mesh))
