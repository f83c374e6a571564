"""Devices in a mesh, and the shardings of states and batches over it."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from inception_jax.runtime import choices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import first_line

MODES = ('jit', 'shard_map', 'pmap')
BATCH_NORMS = ('global', 'per_device')

# The axes of a mesh. A batch is split over both, kernels only over the second.
DATA, PARAMETER = 'data', 'parameter'

# A smaller kernel is not worth the communication that gathers it.
LEAST_SPLIT_KERNEL = 2**16


@dataclasses.dataclass(frozen=True)
class Parallel:
    """How a step is distributed over devices.

    Attributes:
      mode: how a step is compiled. jit compiles one program for the global batch, which
        XLA partitions. shard_map and pmap compile a program for each device, which
        averages gradients with the others.
      batch_norm: the images that share batch statistics: the global batch (global), or
        the images of one device (per_device).
      parameter_devices: the number of devices over which large kernels, their EMA
        weights and their optimizer state are split. A kernel is gathered where it is
        used.

    Raises:
      ValueError: a field is out of its range, or two fields exclude each other.

    >>> Parallel(mode='shard_map', batch_norm='per_device').batch_norm_axis is None
    True
    """

    mode: str = dataclasses.field(
        default='jit', metadata={'may_change_on_resume': True}
    )
    batch_norm: str = 'global'
    parameter_devices: int = dataclasses.field(
        default=1, metadata={'may_change_on_resume': True}
    )

    def __post_init__(self):
        choices.check('config.parallel.mode', self.mode, MODES)
        choices.check('config.parallel.batch_norm', self.batch_norm, BATCH_NORMS)
        if self.parameter_devices < 1:
            raise ValueError(
                f'config.parallel.parameter_devices is {self.parameter_devices}; '
                'expected 1 or more'
            )
        if self.mode == 'jit' and self.batch_norm == 'per_device':
            raise ValueError(
                'config.parallel has mode jit and batch_norm per_device, but jit has '
                'only the global batch; use mode shard_map, or batch_norm global'
            )
        if self.mode != 'jit' and self.parameter_devices > 1:
            raise ValueError(
                f'config.parallel has mode {self.mode} and parameter_devices '
                f'{self.parameter_devices}, and only jit splits kernels; use mode jit, '
                'or parameter_devices 1'
            )

    @property
    def batch_norm_axis(self) -> str | None:
        """The mapped axis over which batch statistics are averaged, or None."""
        averages = self.mode != 'jit' and self.batch_norm == 'global'
        return DATA if averages else None


def all_devices() -> list[jax.Device]:
    """Returns all devices of all processes.

    Raises:
      ValueError: JAX cannot start the devices.
    """
    try:
        return jax.devices()
    # JAX raises AssertionError if JAX_PLATFORMS names cuda and JAX has no CUDA.
    except (RuntimeError, AssertionError) as error:
        setting = f'; JAX_PLATFORMS is {os.environ.get("JAX_PLATFORMS", "not set")}'
        raise ValueError(
            f'JAX cannot start its devices ({first_line(error)}){setting}'
        ) from error


def device_mesh(
    parameter_devices: int = 1, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """Returns a mesh of all devices of all processes, or of `devices`.

    Its axes are `data`, and `parameter` of size `parameter_devices`.

    Raises:
      ValueError: the devices cannot start, or `parameter_devices` does not divide their
        number.

    >>> dict(device_mesh(devices=jax.devices()[:1]).shape)
    {'data': 1, 'parameter': 1}
    """
    devices = devices or all_devices()
    count = len(devices)
    if count % parameter_devices:
        raise ValueError(
            f'config.parallel.parameter_devices is {parameter_devices}, and the run '
            f'has {counted(count, "device")}; use a number that divides {count}'
        )
    shape = (count // parameter_devices, parameter_devices)
    types = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh(shape, (DATA, PARAMETER), types, devices=devices)


def topology_devices(name: str) -> Sequence[jax.Device]:
    """Returns the devices of a TPU slice, for compilation without the slice.

    Raises:
      ValueError: there is no such slice, or the compiler for TPUs is not installed.
    """
    try:
        return topologies.get_topology_desc(topology_name=name, platform='tpu').devices
    except Exception as error:
        raise ValueError(
            f'no topology {name} ({first_line(error)}); expected e.g. v5e:2x2 or '
            'v5e:16x16, and the compiler for TPUs: pip install libtpu'
        ) from error


def check_batch_size(batch_size: int, mesh: Mesh, accumulation: int = 1) -> None:
    """Raises ValueError unless each micro-batch divides over the devices."""
    parts = mesh.size * accumulation
    if batch_size % parts:
        below = batch_size // parts * parts
        near = ' or '.join(str(n) for n in (below, below + parts) if n)
        several = f' and {accumulation} micro-batches' if accumulation > 1 else ''
        raise ValueError(
            f'batch_size {batch_size} does not divide over '
            f'{counted(mesh.size, "device")}{several}; use a multiple of {parts}, '
            f'e.g. {near}'
        )


def check_processes(how: Parallel) -> None:
    """Raises ValueError if the mode does not support the number of processes."""
    if how.mode == 'pmap' and jax.process_count() > 1:
        raise ValueError(
            f'config.parallel.mode is pmap, and there are {jax.process_count()} '
            'processes; use shard_map, which computes the same'
        )


def platform_of(mesh: Mesh) -> str:
    """Returns cpu, gpu or tpu."""
    return mesh.devices.flat[0].platform


def replicated(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that is replicated on every device."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Returns the sharding of an array that is split along its first axis."""
    return NamedSharding(mesh, PartitionSpec(tuple(mesh.axis_names)))


def shardings(tree: Any, mesh: Mesh) -> Any:
    """Returns the sharding of each array of a state.

    A large kernel is split along its last axis that divides over the mesh axis
    `parameter`. So are its EMA weights and its optimizer state, which have the same
    shape. All other arrays are replicated on every device.
    """

    def sharding_of(x) -> NamedSharding:
        count = mesh.shape[PARAMETER]
        axes = [axis for axis, size in enumerate(np.shape(x)) if size % count == 0]
        if count == 1 or np.ndim(x) < 2 or np.size(x) < LEAST_SPLIT_KERNEL or not axes:
            return replicated(mesh)
        return NamedSharding(mesh, PartitionSpec(*[None] * axes[-1], PARAMETER))

    return jax.tree.map(sharding_of, tree)


def distribute(tree: Any, mesh: Mesh) -> Any:
    """Copies a tree to its `shardings`, into new buffers that a step may donate."""
    # `device_put` would share buffers that are on a device already or in a NumPy array.
    # With several processes, it would also send each array to all others to compare.
    # The copy is complete at return, since the caller may then change its arrays.
    return jax.block_until_ready(_copier(mesh)(tree))


def sharded_shapes(tree: Any, mesh: Mesh) -> Any:
    """Returns the shapes, dtypes and shardings of a tree after `distribute`."""
    return jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        tree,
        shardings(tree, mesh),
    )


@functools.cache
def _copier(mesh: Mesh) -> Callable:
    return jax.jit(functools.partial(_settled, mesh=mesh))


def _settled(tree: Any, mesh: Mesh) -> Any:
    return jax.lax.with_sharding_constraint(tree, shardings(tree, mesh))


def put_batch(batch: dict, mesh: Mesh) -> dict[str, jax.Array]:
    """Returns global arrays from the part of a batch that this process has.

    On CPUs the arrays are copies. An accelerator may read `batch` until the arrays are
    ready: leave it unchanged until then.
    """
    # Without a copy, a CPU reads the memory of `batch` for as long as the array lives.
    take = np.array if platform_of(mesh) == 'cpu' else np.asarray
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(batch_sharding(mesh), take(x)),
        batch,
    )


def keep_pace(results: list) -> None:
    """Waits until at most two of the results are unfinished; on CPUs, none.

    An accelerator then always has the next step queued, but the host does not fill its
    memory with batches for later steps. On a CPU, which is the host itself, a queue
    gains nothing and takes memory.
    """
    ahead = 0 if jax.default_backend() == 'cpu' else 2
    if len(results) > ahead:
        jax.block_until_ready(results[-1 - ahead])
