"""train --dry-run: the costs of a step, before you book the machine."""

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable

from inception_jax.runtime.amounts import counted, decimal_text, memory_text


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('without training')
    kind = group.add_mutually_exclusive_group()
    kind.add_argument(
        '--show-config',
        action='store_true',
        help='print every field of the config with its value and meaning, and exit '
        '(default: train)',
    )
    kind.add_argument(
        '--dry-run',
        action='store_true',
        help='compile the step without data, print its memory, arithmetic and '
        'messages, and exit (default: train)',
    )
    group.add_argument(
        '--topology',
        metavar='NAME',
        help='TPU slice to compile for with --dry-run, e.g. v5e:16x16; this machine '
        'needs libtpu and no TPU (default: the devices of this machine)',
    )
    group.add_argument(
        '--largest-batch',
        action='store_true',
        help='find the largest batch whose step fits the memory of the devices, with '
        '--dry-run (default: the batch size of the config)',
    )
    group.add_argument(
        '--format',
        choices=('table', 'json'),
        help='format of the output of --show-config or --dry-run (default: table)',
    )


def run(options: argparse.Namespace, experiment) -> Callable[[], int]:
    """Checks the options and returns the work: to compile and to print the costs.

    Raises:
      ValueError: the topology is unknown, the batch does not divide over its devices,
        or `--largest-batch` does not know their memory.
    """
    # Without TPUs their compiler prints a complaint.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    from inception_jax.parallel.mesh import device_mesh, topology_devices
    from inception_jax.speed.costs import check_step
    from inception_jax.speed.roofline import CHIPS

    devices = topology_devices(options.topology) if options.topology else None
    mesh = device_mesh(experiment.parallel.parameter_devices, devices)
    if options.largest_batch:
        kind = mesh.devices.flat[0].device_kind
        if kind not in CHIPS:
            raise ValueError(
                f'the memory of {kind} is not known; --largest-batch knows '
                f'{", ".join(CHIPS)}'
            )
        check_step(_with_batch(experiment, mesh, _batch_increment(experiment)), mesh)
        return lambda: _print_largest_batch(experiment, mesh, options.format)
    check_step(experiment, mesh)
    return lambda: _print_costs(experiment, mesh, options.format)


def _print_costs(experiment, mesh, output_format: str) -> int:
    from inception_jax.speed.costs import costs

    try:
        step_costs = costs(experiment, mesh)
    except MemoryError as error:
        print(
            f'a batch of {counted(experiment.run.batch_size, "image")} on '
            f'{counted(mesh.size, "device")} does not fit: {error}; use a smaller '
            'batch, recipe.accumulation or recipe.remat'
        )
        return 1
    show = _json if output_format == 'json' else _table
    print(show(experiment, step_costs))
    holder, limit, devices = _memory_limit(mesh)
    needed = devices * step_costs.memory
    if needed <= limit:
        return 0
    print(
        f'the step does not fit: it needs {memory_text(needed)}, and {holder} has '
        f'{memory_text(limit)}; use a smaller batch, recipe.accumulation or '
        'recipe.remat',
        file=sys.stderr,
    )
    return 1


def _memory_limit(mesh) -> tuple[str, float, int]:
    """Returns who has the memory of a step, the bytes, and the devices that share it.

    The bytes are infinite for a device of unknown memory.
    """
    from inception_jax.runtime.memory import machine_memory
    from inception_jax.speed.roofline import CHIPS

    device = mesh.devices.flat[0]
    if device.platform == 'cpu':
        return 'this machine', machine_memory(), mesh.size
    chip = CHIPS.get(device.device_kind)
    return 'a device', chip.memory if chip else math.inf, 1


def _print_largest_batch(experiment, mesh, output_format: str) -> int:
    from inception_jax.speed.costs import costs
    from inception_jax.speed.roofline import CHIPS, largest_batch

    tried = {}

    def memory_of(images: int) -> float:
        resized = _with_batch(experiment, mesh, images)
        try:
            tried[images] = resized, costs(resized, mesh)
        except MemoryError:
            memory = math.inf
        else:
            memory = tried[images][1].memory
        size = memory_text(memory) if images in tried else 'does not fit'
        stream = sys.stderr if output_format == 'json' else sys.stdout
        print(f'{counted(images, "image")} a device: {size}', file=stream, flush=True)
        return memory

    limit = CHIPS[mesh.devices.flat[0].device_kind].memory
    images = largest_batch(memory_of, limit, _batch_increment(experiment))
    if not images:
        print('not even the smallest batch fits; use recipe.remat or more devices')
        return 1
    show = _json if output_format == 'json' else _table
    print(show(*tried[images]))
    return 0


def _batch_increment(experiment) -> int:
    """Returns the number of images of a device by which batches grow."""
    return 8 * experiment.recipe.accumulation


def _with_batch(experiment, mesh, images: int):
    """Returns an experiment with so many images on each device."""
    run = dataclasses.replace(experiment.run, batch_size=images * mesh.size)
    return dataclasses.replace(experiment, run=run)


def _json(experiment, costs) -> str:
    from inception_jax.speed.roofline import CHIPS, roofline

    messages = {kind: sums._asdict() for kind, sums in costs.messages.items()}
    chip = CHIPS.get(costs.device)
    least = roofline(costs, chip) if chip else None
    return json.dumps(
        {
            'network': experiment.network.name,
            'recipe': dataclasses.asdict(experiment.recipe),
            'parallel': dataclasses.asdict(experiment.parallel),
            **dataclasses.asdict(costs),
            'messages': messages,
            'roofline': least._asdict() if least else None,
        }
    )


def _table(experiment, costs) -> str:
    from inception_jax.speed.roofline import CHIPS, roofline

    each = counted(costs.batch_size // costs.devices, 'image')
    rows = [
        ('step', f'{experiment.network.name}, {experiment.recipe.dtype}'),
        ('devices', f'{costs.devices} x {costs.device}, {each} on each'),
        ('memory', f'{memory_text(costs.memory)} a device'),
        ('', f'{memory_text(costs.arguments)} for state and batch'),
        ('', f'{memory_text(costs.temporaries)} for temporaries'),
        ('', f'{memory_text(costs.program)} for the program'),
        ('arithmetic', f'{decimal_text(costs.flops, "FLOP")} a device'),
        ('traffic', f'{decimal_text(costs.main_memory, "B")} of main memory a device'),
        ('', f'{decimal_text(costs.bytes_accessed, "B")} as XLA counts, also on chip'),
    ]
    for kind, sums in costs.messages.items():
        size = decimal_text(sums.bytes, 'B')
        rows.append(('messages', f'{sums.count} {kind}, {size}'))
    if not costs.messages:
        rows.append(('messages', 'none'))
    if costs.micro_batches > 1:
        parts = costs.micro_batches
        rows.append(
            ('', f'arithmetic, traffic and messages of one of {parts} micro-batches')
        )
    chip = CHIPS.get(costs.device)
    if least := roofline(costs, chip) if chip else None:
        rows += [
            (
                'at least',
                f'{1e3 * least.step:.1f} ms a step, '
                f'{costs.batch_size / least.step:,.0f} images/s',
            ),
            ('', f'{1e3 * least.arithmetic:.1f} ms of arithmetic'),
            ('', f'{1e3 * least.memory:.1f} ms of main-memory traffic'),
            ('', f'{1e3 * least.messages:.1f} ms of messages, not hidden'),
        ]
    return '\n'.join(f'{name:<12}{value}' for name, value in rows)
