"""Where arrays live and how a step is compiled: jit over a mesh of all devices."""

from collections.abc import Callable
from typing import Any

import jax
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
    return jax.jit(lambda x: x, out_shardings=replicated(mesh))(tree)


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


def compiled_eval_step(step: Callable, mesh: Mesh) -> Callable:
    """Compiles `step(variables, residual_scale, batch)` -> sums over the batch."""
    return jax.jit(
        step,
        in_shardings=(replicated(mesh), replicated(mesh), split(mesh)),
        out_shardings=replicated(mesh),
    )
