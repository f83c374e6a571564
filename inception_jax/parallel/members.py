"""The members of a sweep, stacked along a first axis, on one or several devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from inception_jax.parallel.mesh import shardings
from inception_jax.runtime.compiler_options import compiler_options


def member_mesh(members: int) -> Mesh:
    """Returns a mesh with one device per member, along the axis `member`."""
    devices = jax.devices()[:members]
    return jax.make_mesh(
        (len(devices),), ('member',), axis_types=(AxisType.Auto,), devices=devices
    )


def place_members(trees: Sequence[Any], mesh: Mesh | None) -> Any:
    """Stacks the trees of members along a first axis.

    With a mesh, each member is copied directly to its device. Without one, all members
    are on the first device.
    """
    if mesh is None:
        stacked = jax.tree.map(lambda *xs: jnp.stack(xs), *trees)
        return jax.device_put(stacked, jax.devices()[0])
    sharding = NamedSharding(mesh, PartitionSpec('member'))

    def place(*xs):
        parts = map(jax.device_put, (x[None] for x in xs), mesh.devices.flat)
        shape = (len(xs), *xs[0].shape)
        return jax.make_array_from_single_device_arrays(shape, sharding, list(parts))

    return jax.tree.map(place, *trees)


def move_member(tree: Any, mesh: Mesh) -> Any:
    """Moves a tree to the devices of a mesh, with the shardings of a run."""
    return jax.device_put(tree, shardings(tree, mesh))


def compile_for_members(
    function: Callable, mesh: Mesh | None, donate: bool = False
) -> Callable:
    """Compiles a function of trees for trees that are stacked by `place_members`.

    With a mesh, each device computes one member. Without one, the function is mapped
    over the members on one device. `donate` reuses the buffers of the first tree.
    """
    if mesh is None:
        mapped = jax.vmap(function)
    else:
        spec = PartitionSpec('member')

        def alone(*trees):
            result = function(*jax.tree.map(lambda x: x[0], trees))
            return jax.tree.map(lambda x: x[None], result)

        # A compiled program has the name of its function.
        alone.__name__ = getattr(function, 'func', function).__name__
        mapped = jax.shard_map(
            alone, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False
        )
    return jax.jit(
        mapped,
        donate_argnums=0 if donate else (),
        compiler_options=compiler_options(jax.devices()[0].platform),
    )
