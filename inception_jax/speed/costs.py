"""What a train step costs, told by the compiler before anything runs."""

import dataclasses
import math
import re
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.config.experiment import Experiment
from inception_jax.networks.network import Network
from inception_jax.parallel.compile import compiled_train_step
from inception_jax.parallel.mesh import (
    batch_sharding,
    check_batch_size,
    platform_of,
    sharded_shapes,
)
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.state import initial_state
from inception_jax.training.programs import pure_functions

COLLECTIVES = (
    'all-reduce',
    'all-gather',
    'reduce-scatter',
    'all-to-all',
    'collective-permute',
)

ARRAY = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]')


class Messages(NamedTuple):
    """Collectives of one kind in a program: how many, and the bytes of their results
    on a device. What stands in a loop counts once.
    """

    count: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Costs:
    """What one step of the compiled program takes, on each device and in bytes.

    `arguments` are the state and the device's part of the batch, `temporaries` what
    the step needs besides, `program` its code. The state is overwritten in place.
    Of several micro-batches, which are made in a loop, `flops`, `bytes_accessed` and
    `messages` count one.
    """

    device: str
    devices: int
    batch_size: int
    micro_batches: int
    arguments: int
    temporaries: int
    program: int
    flops: float
    bytes_accessed: float
    messages: dict[str, Messages]

    @property
    def memory(self) -> int:
        return self.arguments + self.temporaries + self.program


def costs(experiment: Experiment, mesh: Mesh) -> Costs:
    """Compiles the train step of an experiment for a mesh and reads what it takes.

    Neither the data nor the devices of the mesh need to be there.

    Raises:
      ValueError: the batch does not divide over the devices.
      MemoryError: the compiler knows the memory of the device, and it is not enough.
    """
    how, recipe, run = experiment.parallel, experiment.recipe, experiment.run
    check_batch_size(run.batch_size, mesh, recipe.accumulation)
    # pmap compiles for the devices at hand only; shard_map's program is the same.
    mode = 'jit' if how.mode == 'jit' else 'shard_map'
    pure = pure_functions(
        experiment.network, recipe, how.batch_norm_axis, platform_of(mesh)
    )
    step = compiled_train_step(pure.step, mesh, mode)
    lowered = step.lower(
        _state(experiment, mesh), batch_shapes(experiment.network, run.batch_size, mesh)
    )
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
            raise
        raise MemoryError(str(error).splitlines()[0].split(': ', 1)[1]) from error
    memory, found = compiled.memory_analysis(), compiled.cost_analysis()
    return Costs(
        device=mesh.devices.flat[0].device_kind,
        devices=mesh.size,
        batch_size=run.batch_size,
        micro_batches=recipe.accumulation,
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        program=memory.generated_code_size_in_bytes,
        flops=found['flops'],
        bytes_accessed=found['bytes accessed'],
        messages=messages(compiled.as_text()),
    )


def _state(experiment: Experiment, mesh: Mesh) -> Any:
    """Returns the shapes and places of the state; its numbers do not matter."""
    numbers = experiment.hparams | {'epochs': 1.0, 'steps_per_epoch': 1.0}
    hparams = hparams_for(experiment.network, **numbers)
    state = initial_state(experiment.network, experiment.recipe, hparams, seed=0)
    return sharded_shapes(state, mesh)


def batch_shapes(
    network: Network, count: int, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and places of so many training images."""
    size = network.input_size
    arrays = {
        'image': ((count, size, size, 3), np.uint8),
        'label': ((count,), np.int32),
        'example': ((count,), np.uint32),
    }
    return {
        name: jax.ShapeDtypeStruct(*array, sharding=batch_sharding(mesh))
        for name, array in arrays.items()
    }


def messages(program: str) -> dict[str, Messages]:
    """Counts the collectives in the text of a compiled program, those that there are.

    A collective that starts and ends at different places counts once.
    """
    found = {}
    for kind in COLLECTIVES:
        lines = re.findall(rf'= (.*?) {kind}(-start)?\(', program)
        sizes = [sum(_results(kind, _sizes(one), bool(start))) for one, start in lines]
        if sizes:
            found[kind] = Messages(len(sizes), sum(sizes))
    return found


def _results(kind: str, sizes: list[int], started: bool) -> list[int]:
    """Returns the results of a collective, of all that its start holds."""
    if started and kind == 'all-gather':
        return sizes[len(sizes) // 2 :]
    if started and kind == 'collective-permute':
        return sizes[1:2]
    return sizes


def _sizes(shapes: str) -> list[int]:
    """Returns the bytes of each of the arrays of which a text gives the shapes."""
    found = []
    for _, bits, dimensions in ARRAY.findall(shapes):
        values = math.prod(int(n) for n in dimensions.split(',') if n)
        found.append(values * max(1, int(bits or 8) // 8))
    return found
