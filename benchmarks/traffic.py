"""The memory traffic of a train step on a TPU by execution, read from the compiler.

Command   JAX_PLATFORMS=cpu python benchmarks/traffic.py inception_resnet_v2 \\
              --execution plain --execution fast --execution fast-tiles
Needs     pip install "jax[tpu]"; no TPU
Cost      two to four minutes for each execution on 2 cores
Prints    a row for each execution, in Markdown: bytes as XLA counts them, bytes of main
          memory (inception_jax/speed/traffic.py), the least time for both, and the
          compile time; with --operations N also the N operations that move most

The step is the step of `train`, in bfloat16. The devices of the slice share the batch.
"""

import argparse
import sys
import time

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.model.execution import check_execution
from inception_jax.networks import load, scaled
from inception_jax.parallel.compile import compile_step
from inception_jax.parallel.mesh import (
    device_mesh,
    platform_of,
    sharded_shapes,
    topology_devices,
)
from inception_jax.speed import costs, traffic
from inception_jax.speed.roofline import CHIPS
from inception_jax.speed.workload import NUMBERS, STEPS_PER_EPOCH, imagenet_recipe
from inception_jax.steps.hparams import hparams_for
from inception_jax.steps.state import initial_state
from inception_jax.training.programs import pure_functions

COLUMNS = (
    *('execution', 'TFLOP', 'bytes accessed, GB', 'main memory, GB'),
    *('arithmetic, ms', 'main memory, ms', 'temporaries, GiB', 'compiling, s'),
)


def compiled(network, execution: str, devices, batch_size: int):
    """Compiles the train step for devices that this machine need not have."""
    recipe = imagenet_recipe(dtype='bfloat16', execution=execution)
    mesh = device_mesh(devices=devices)
    pure = pure_functions(network, recipe, None, platform_of(mesh))
    step = compile_step(pure.step, mesh, donate_state=True)
    numbers = NUMBERS | {'epochs': 160.0, 'steps_per_epoch': STEPS_PER_EPOCH}
    state = initial_state(network, recipe, hparams_for(network, **numbers), seed=0)
    batch = costs.batch_shapes(network, batch_size * mesh.size, mesh)
    return step.lower(sharded_shapes(state, mesh), batch).compile()


def row(execution: str, step, chip, seconds: float) -> list[str]:
    cost, moved = step.cost_analysis(), traffic.main_memory(step.as_text())
    temporaries = step.memory_analysis().temp_size_in_bytes
    return [
        execution,
        f'{cost["flops"] / 1e12:.2f}',
        f'{cost["bytes accessed"] / 1e9:.1f}',
        f'{moved / 1e9:.1f}',
        f'{1e3 * cost["flops"] / chip.flops:.1f}',
        f'{1e3 * moved / chip.bandwidth:.1f}',
        f'{temporaries / 2**30:.2f}',
        f'{seconds:.0f}',
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('network')
    parser.add_argument('--execution', action='append')
    parser.add_argument('--topology', default='v5e:2x2')
    parser.add_argument('--batch-size', type=int, default=32, help='of a device')
    parser.add_argument('--depth', type=float, default=1.0, help='share of the blocks')
    parser.add_argument('--operations', type=int, default=0)
    options = parser.parse_args()
    executions = options.execution or ['plain', 'fast']
    try:
        for execution in executions:
            check_execution(execution)
        network = scaled(load(options.network), depth=options.depth)
        devices = topology_devices(options.topology)
        chip = CHIPS[devices[0].device_kind]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyError as error:
        print(f'{error} is not in roofline.CHIPS; add it there', file=sys.stderr)
        return 2
    rows = []
    for execution in executions:
        begun = time.perf_counter()
        step = compiled(network, execution, devices, options.batch_size)
        rows.append(row(execution, step, chip, time.perf_counter() - begun))
        most = sorted(traffic.memory_transfers(step.as_text()), reverse=True)
        for operation in most[: options.operations]:
            megabytes = f'{operation.bytes / 1e6:.0f} MB'
            print(megabytes, operation.result[:80], operation.source[-80:])
    print(markdown_table(COLUMNS, rows))
    return 0


if __name__ == '__main__':
    sys.exit(main())
