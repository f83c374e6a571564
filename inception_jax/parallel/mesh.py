"""Where arrays live, and how a step is compiled: by jit, shard_map or pmap."""

import dataclasses
import difflib
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

MODES = ('jit', 'shard_map', 'pmap')
BATCH_NORMS = ('global', 'per_device')

# The axes of a mesh. A batch is split over both; kernels along the second alone.
DATA, PARAMETER = 'data', 'parameter'

# A smaller kernel is not worth the message that gathers it.
LEAST_SPLIT_KERNEL = 2**16


@dataclasses.dataclass(frozen=True)
class Parallel:
    """How a step is spread over devices.

    With the `mode` jit the step is one program of the global batch, which XLA splits;
    with shard_map and pmap it is a program per device, which averages with the others.
    Batch norm has the statistics of the `global` batch or those `per_device`. Large
    kernels, their averages and their optimizer's state are split over
    `parameter_devices`, which gather a kernel where it is used.
    """

    mode: str = dataclasses.field(
        default='jit', metadata={'may_change_on_resume': True}
    )
    batch_norm: str = 'global'
    parameter_devices: int = dataclasses.field(
        default=1, metadata={'may_change_on_resume': True}
    )

    def __post_init__(self):
        _check_choice('mode', self.mode, MODES)
        _check_choice('batch_norm', self.batch_norm, BATCH_NORMS)
        if self.parameter_devices < 1:
            raise ValueError(
                f'config.parallel.parameter_devices is {self.parameter_devices}; '
                'expected 1 or more'
            )
        if self.mode == 'jit' and self.batch_norm == 'per_device':
            raise ValueError(
                'config.parallel has mode jit and batch_norm per_device, and jit knows '
                'the global batch only; use mode shard_map, or batch_norm global'
            )
        if self.mode != 'jit' and self.parameter_devices > 1:
            raise ValueError(
                f'config.parallel has mode {self.mode} and parameter_devices '
                f'{self.parameter_devices}, and only jit splits kernels; use mode jit, '
                'or parameter_devices 1'
            )

    @property
    def batch_norm_axis(self) -> str | None:
        """The mapped axis over which batch norm averages, None without one."""
        averages = self.mode != 'jit' and self.batch_norm == 'global'
        return DATA if averages else None


def _check_choice(field: str, given: str, choices: Sequence[str]) -> None:
    if given not in choices:
        near = difflib.get_close_matches(str(given), choices, n=1)
        hint = f'; did you mean {near[0]}?' if near else ''
        raise ValueError(
            f'config.parallel.{field} {given!r} is none of {", ".join(choices)}{hint}'
        )


def all_devices() -> list[jax.Device]:
    """Returns all devices of all processes.

    Raises:
      ValueError: JAX cannot start them.
    """
    try:
        return jax.devices()
    # An AssertionError where JAX_PLATFORMS names a cuda that JAX has left out.
    except (RuntimeError, AssertionError) as error:
        reason = (str(error) or 'without a word').splitlines()[0]
        named = f'; JAX_PLATFORMS is {os.environ.get("JAX_PLATFORMS", "not set")}'
        raise ValueError(f'JAX cannot start its devices ({reason}){named}') from error


def device_mesh(
    parameter_devices: int = 1, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Returns a mesh of all devices of all processes, or of those given.

    Raises:
      ValueError: the devices cannot start, or are no multiple of `parameter_devices`.
    """
    devices = devices or all_devices()
    count = len(devices)
    if count % parameter_devices:
        raise ValueError(
            f'config.parallel.parameter_devices is {parameter_devices}, and there are '
            f'{count} devices; use a number that divides them'
        )
    shape = (count // parameter_devices, parameter_devices)
    types = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh(shape, (DATA, PARAMETER), types, devices=devices)


def topology_devices(name: str) -> Sequence[jax.Device]:
    """Returns the devices of a TPU slice that need not be there: to compile for.

    Raises:
      ValueError: there is no such slice, or the compiler for TPUs is not installed.
    """
    try:
        return topologies.get_topology_desc(topology_name=name, platform='tpu').devices
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'no topology {name} ({reason}); expected e.g. v5e:2x2 or v5e:16x16, and '
            'the compiler for TPUs: pip install libtpu'
        ) from error


def check_batch_size(batch_size: int, mesh: Mesh, accumulation: int = 1) -> None:
    """Raises ValueError unless the micro-batches divide over the devices."""
    parts = mesh.size * accumulation
    if batch_size % parts:
        below = batch_size // parts * parts
        near = ' or '.join(str(n) for n in (below, below + parts) if n)
        several = f' and {accumulation} micro-batches' if accumulation > 1 else ''
        raise ValueError(
            f'batch_size {batch_size} does not divide over {mesh.size} devices'
            f'{several}; use a multiple of {parts}, e.g. {near}'
        )


def check_processes(how: Parallel) -> None:
    """Raises ValueError where several processes cannot make steps in this mode."""
    if how.mode == 'pmap' and jax.process_count() > 1:
        raise ValueError(
            f'config.parallel.mode is pmap, and there are {jax.process_count()} '
            'processes; use shard_map, which computes the same'
        )


def platform_of(mesh: Mesh) -> str:
    """Returns cpu, gpu or tpu."""
    return mesh.devices.flat[0].platform


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the place of an array that is whole on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the place of an array that is split along its first axis."""
    return NamedSharding(mesh, PartitionSpec(tuple(mesh.axis_names)))


def shardings(tree: Any, mesh: Mesh) -> Any:
    """Returns the place of each array of a state.

    A large kernel is split along its last axis that divides over `parameter`; so are
    its averages and its optimizer's state, which have its shape. All else is whole on
    every device.
    """

    def place_of(x) -> NamedSharding:
        count = mesh.shape[PARAMETER]
        axes = [axis for axis, size in enumerate(np.shape(x)) if size % count == 0]
        if count == 1 or np.ndim(x) < 2 or np.size(x) < LEAST_SPLIT_KERNEL or not axes:
            return replicated(mesh)
        return NamedSharding(mesh, PartitionSpec(*[None] * axes[-1], PARAMETER))

    return jax.tree.map(place_of, tree)


def distribute(tree: Any, mesh: Mesh) -> Any:
    """Puts a tree in its `places`, in buffers of its own that a step may donate."""
    # `device_put` would lend a step what is on a device already, or in an array of
    # NumPy; and of several processes each would send the others all it has to compare.
    return _copier(mesh)(tree)


def sharded_shapes(tree: Any, mesh: Mesh) -> Any:
    """Returns the shapes, types and places that a tree would have in its `places`."""
    return jax.tree.map(
        lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
        tree,
        shardings(tree, mesh),
    )


@functools.cache
def _copier(mesh: Mesh) -> Callable:
    return jax.jit(functools.partial(_settled, mesh=mesh))


def _settled(tree: Any, mesh: Mesh) -> Any:
    return jax.lax.with_sharding_constraint(tree, shardings(tree, mesh))


def put_batch(batch: dict, mesh: Mesh) -> dict[str, jax.Array]:
    """Makes global arrays, split along the batch, of this process's part of a batch."""
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(batch_sharding(mesh), x), batch
    )


def keep_pace(results: list) -> None:
    """Waits until at most two of the results are unfinished, on CPUs none.

    An accelerator always has the next step queued, and the host does not fill the
    memory with batches for later ones. A CPU is the host: what is queued there gains
    nothing, and takes memory.
    """
    ahead = 0 if jax.default_backend() == 'cpu' else 2
    if len(results) > ahead:
        jax.block_until_ready(results[-1 - ahead])
