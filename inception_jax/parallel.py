"""Where arrays live and how a step is compiled: jit over a mesh of all devices."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


def data_mesh() -> Mesh:
    """Returns a mesh of all devices of all processes along `data`."""
    return jax.make_mesh((jax.device_count(),), ('data',), axis_types=(AxisType.Auto,))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
    """Raises ValueError unless the global batch divides over the devices."""
    devices = mesh.size
    if batch_size % devices:
        below = batch_size // devices * devices
        near = ' or '.join(str(n) for n in (below, below + devices) if n)
        raise ValueError(
            f'batch_size {batch_size} does not divide over {devices} devices; use a '
            f'multiple of {devices}, e.g. {near}'
        )


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the place of an array that is whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """Returns the place of an array that is split along its first axis."""
    return NamedSharding(mesh, PartitionSpec('data'))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree on every device, in buffers of its own that a step may donate."""
    return _copier(mesh)(tree)


@functools.cache
def _copier(mesh: Mesh) -> Callable:
    return jax.jit(lambda tree: tree, out_shardings=replicated(mesh))


def place(batch: dict, mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays, split along the batch, of this process's part of a batch."""
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(split(mesh), x), batch
    )


def keep_pace(results: list, ahead: int = 2) -> None:
    """Waits until at most `ahead` of the results are unfinished.

    The device always has the next step queued, and the host does not fill the memory
    with batches for later ones.
    """
    if len(results) > ahead:
        jax.block_until_ready(results[-1 - ahead])


def compiled_train_step(step: Callable, mesh: Mesh) -> Callable:
    """Compiles `step(state, batch)` -> (state, metrics); the state is donated.

    The batch is split over the mesh and the state is on every device, so that the loss,
    the gradients and the batch statistics are those of the global batch.
    """
    return jax.jit(
        step,
        in_shardings=(replicated(mesh), split(mesh)),
        out_shardings=replicated(mesh),
        donate_argnums=0,
    )


def member_mesh(members: int) -> Mesh:
    """Returns a mesh of as many devices as there are members, along `member`."""
    devices = jax.devices()[:members]
    return jax.make_mesh(
        (len(devices),), ('member',), axis_types=(AxisType.Auto,), devices=devices
    )


def place_members(trees: Sequence[Any], mesh: Mesh | None) -> Any:
    """Stacks the trees of members along a first axis.

    It is split over a mesh, each member straight to its device, or on the first device.
    """
    if mesh is None:
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *trees)
        return jax.device_put(stacked, jax.devices()[0])
    sharding = NamedSharding(mesh, PartitionSpec('member'))

    def placed(*xs):
        parts = map(jax.device_put, (x[None] for x in xs), mesh.devices.flat)
        shape = (len(xs), *xs[0].shape)
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))

    return jax.tree.map(placed, *trees)


def move(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree from other devices on every device of a mesh."""
    return jax.device_put(tree, replicated(mesh))


def compiled_for_members(
    function: Callable, mesh: Mesh | None, donate: bool = False
) -> Callable:
    """Compiles a function of trees for stacks of them along a first axis.

    With a mesh of as many devices as members, each device computes one member;
    without, the function is mapped on one device.
    """
    if mesh is None:
        mapped = jax.vmap(function)
    else:
        spec = PartitionSpec('member')

        def alone(*trees):
            result = function(*jax.tree.map(lambda x: x[0], trees))
            return jax.tree.map(lambda x: x[None], result)

        # A compiled program is known by the name of its function.
        alone.__name__ = getattr(function, 'func', function).__name__
        mapped = jax.shard_map(alone, mesh=mesh, in_specs=spec, out_specs=spec)
    return jax.jit(mapped, donate_argnums=0 if donate else ())


def compiled_look(look: Callable, mesh: Mesh) -> Callable:
    """Compiles `look(state, batch)`, which leaves the state alone."""
    return jax.jit(
        look,
        in_shardings=(replicated(mesh), split(mesh)),
        out_shardings=replicated(mesh),
    )


def compiled_probe(probe: Callable, mesh: Mesh) -> Callable:
    """Compiles `probe(given, batch)` in float32 that is not rounded on the way.

    Accelerators multiply in fewer bits unless asked, which drowns small derivatives.
    """

    def precise(given, batch):
        with jax.default_matmul_precision('highest'):
            return probe(given, batch)

    return compiled_look(precise, mesh)


def compiled_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """Compiles `step(variables, residual_scale, batch)` -> sums over the batch."""
    return jax.jit(
        step,
        in_shardings=(replicated(mesh), replicated(mesh), split(mesh)),
        out_shardings=replicated(mesh),
    )
