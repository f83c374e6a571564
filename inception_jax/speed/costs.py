"""The costs of a train step, read from its compiled program before anything runs.

Figures are per device: memory and traffic in bytes, arithmetic in FLOP.
"""

import dataclasses
import math
import re
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax.config.experiment import Experiment
from inception_jax.networks.network import Network
from inception_jax.networks.shapes import measure
from inception_jax.parallel.compile import compile_step
from inception_jax.parallel.mesh import (
    batch_sharding,
    check_batch_size,
    platform_of,
    sharded_shapes,
)
from inception_jax.speed.traffic import main_memory
from inception_jax.steps.batch_statistics import check_batch_norm
from inception_jax.steps.hparams import Hparams, hparams_for
from inception_jax.steps.state import initial_state
from inception_jax.training.initial_weights import check_initial_weights
from inception_jax.training.prepare import sharing_images
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
    """The collectives of one kind in a program, and the bytes of their results.

    `bytes` is per device. A collective inside a loop counts once.
    """

    count: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Costs:
    """The costs of one step of the compiled program on each device.

    `arguments` is the state and the device's part of the batch, `temporaries` the
    working memory of the step and `program` its code, all in bytes. The step overwrites
    the state in place. `flops` are floating-point operations. `main_memory` is the
    number of bytes that pass main memory (`speed.traffic`), `bytes_accessed` that of
    all bytes read and written as XLA counts them, also within the chip. `messages` has
    the collectives by kind. Micro-batches run in a loop: `flops`, the traffic and
    `messages` count one of them.
    """

    device: str
    devices: int
    batch_size: int
    micro_batches: int
    arguments: int
    temporaries: int
    program: int
    flops: float
    main_memory: float
    bytes_accessed: float
    messages: dict[str, Messages]

    @property
    def memory(self) -> int:
        """The memory that a step takes on each device, in bytes."""
        return self.arguments + self.temporaries + self.program


def check_step(experiment: Experiment, mesh: Mesh) -> None:
    """Raises ValueError where the config and the mesh make no train step.

    It needs no data, so it compares no classes with those of initial weights.
    """
    recipe, network = experiment.recipe, experiment.network
    measure(network)
    check_batch_size(experiment.run.batch_size, mesh, recipe.accumulation)
    check_batch_norm(network, sharing_images(experiment, mesh), recipe.frozen)
    hparams = _hparams(experiment)
    if recipe.init_from:
        name = experiment.config['network']['name']
        any_head = dataclasses.replace(recipe, new_head=True)
        scales_of_network = experiment.hparams.get('residual_scale') is None
        check_initial_weights(
            any_head, network, name, hparams, (), scales_of_network=scales_of_network
        )


def costs(experiment: Experiment, mesh: Mesh) -> Costs:
    """Compiles the train step of an experiment for a mesh and reads its costs.

    It needs neither data nor the devices: the mesh may be of a topology.

    Raises:
      ValueError: the batch does not divide over the devices.
      MemoryError: the compiler reports that the step does not fit the device's memory.
    """
    parallel, recipe, run = experiment.parallel, experiment.recipe, experiment.run
    check_step(experiment, mesh)
    # pmap compiles only for devices of this machine; shard_map's program is the same.
    mode = 'jit' if parallel.mode == 'jit' else 'shard_map'
    pure = pure_functions(
        experiment.network, recipe, parallel.batch_norm_axis, platform_of(mesh)
    )
    step = compile_step(pure.step, mesh, mode, donate_state=True)
    lowered = step.lower(
        _state(experiment, mesh), batch_shapes(experiment.network, run.batch_size, mesh)
    )
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if 'RESOURCE_EXHAUSTED' not in str(error):
            raise
        raise MemoryError(str(error).splitlines()[0].split(': ', 1)[1]) from error
    memory, cost = compiled.memory_analysis(), compiled.cost_analysis()
    text = compiled.as_text()
    return Costs(
        device=mesh.devices.flat[0].device_kind,
        devices=mesh.size,
        batch_size=run.batch_size,
        micro_batches=recipe.accumulation,
        arguments=memory.argument_size_in_bytes,
        temporaries=memory.temp_size_in_bytes,
        program=memory.generated_code_size_in_bytes,
        flops=cost['flops'],
        main_memory=main_memory(text),
        bytes_accessed=cost['bytes accessed'],
        messages=messages(text),
    )


def _state(experiment: Experiment, mesh: Mesh) -> Any:
    """Returns the shapes and shardings of the state; its values do not matter."""
    hparams = _hparams(experiment)
    state = initial_state(experiment.network, experiment.recipe, hparams, seed=0)
    return sharded_shapes(state, mesh)


def _hparams(experiment: Experiment) -> Hparams:
    """Returns the hyper-parameters, with a number of steps that changes no cost."""
    length = {'epochs': experiment.run.epochs, 'steps_per_epoch': 1.0}
    numbers = experiment.hparams | length
    return hparams_for(experiment.network, **numbers)


def batch_shapes(
    network: Network, count: int, mesh: Mesh
) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and shardings of a batch of `count` training images."""
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
    """Returns the collectives by kind in the text (HLO) of a compiled program.

    An asynchronous collective, a start and a done, counts once.
    """
    by_kind = {}
    for kind in COLLECTIVES:
        lines = re.findall(rf'= (.*?) {kind}(-start)?\(', program)
        sizes = [
            sum(_results(kind, _sizes(shapes), bool(start))) for shapes, start in lines
        ]
        if sizes:
            by_kind[kind] = Messages(len(sizes), sum(sizes))
    return by_kind


def _results(kind: str, sizes: list[int], started: bool) -> list[int]:
    """Returns the sizes of the results of a collective.

    The shape of a start also holds the operands.
    """
    if started and kind == 'all-gather':
        return sizes[len(sizes) // 2 :]
    if started and kind == 'collective-permute':
        return sizes[1:2]
    return sizes


def _sizes(shapes: str) -> list[int]:
    """Returns the bytes of each array shape in a piece of HLO."""
    sizes = []
    for _, bits, dimensions in ARRAY.findall(shapes):
        values = math.prod(int(n) for n in dimensions.split(',') if n)
        sizes.append(values * max(1, int(bits or 8) // 8))
    return sizes
