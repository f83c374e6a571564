"""train --dry-run: what a step takes, before a device is booked for it."""

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable


def arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('without training')
    group.add_argument(
        '--dry-run',
        action='store_true',
        help='compile the step, print what it takes and exit; needs no data',
    )
    group.add_argument(
        '--topology',
        metavar='NAME',
        help='compile for TPUs that are not there, e.g. v5e:16x16; needs libtpu',
    )
    group.add_argument(
        '--largest-batch',
        action='store_true',
        help='find the largest batch whose step fits the memory of the devices',
    )
    group.add_argument('--format', choices=('table', 'json'))


def run(options: argparse.Namespace, experiment) -> Callable[[], int]:
    """Returns the work: to compile for the devices, here or not, and to print.

    Raises:
      ValueError: there is no such topology, the batch does not divide over it, or the
        memory of its devices is not known.
    """
    # The compiler for TPUs complains that it has none.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    from inception_jax.parallel.mesh import (
        check_batch_size,
        device_mesh,
        topology_devices,
    )
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
        return lambda: _largest(experiment, mesh, options.format)
    check_batch_size(experiment.run.batch_size, mesh, experiment.recipe.accumulation)
    return lambda: _once(experiment, mesh, options.format)


def _once(experiment, mesh, form: str) -> int:
    from inception_jax.speed.costs import costs

    try:
        found = costs(experiment, mesh)
    except MemoryError as error:
        print(
            f'{experiment.run.batch_size} images on {mesh.size} devices do not fit: '
            f'{error}; use a smaller batch, recipe.accumulation or recipe.remat'
        )
        return 1
    print(_json(experiment, found) if form == 'json' else _table(experiment, found))
    return 0


def _largest(experiment, mesh, form: str) -> int:
    from inception_jax.speed.costs import costs
    from inception_jax.speed.roofline import CHIPS, GIB, largest_batch

    found = {}

    def memory_of(images: int) -> float:
        run = dataclasses.replace(experiment.run, batch_size=images * mesh.size)
        chosen = dataclasses.replace(experiment, run=run)
        try:
            found[images] = chosen, costs(chosen, mesh)
        except MemoryError:
            memory = math.inf
        else:
            memory = found[images][1].memory
        takes = f'{memory / GIB:.2f} GiB' if images in found else 'does not fit'
        where = sys.stderr if form == 'json' else sys.stdout
        print(f'{images} images a device: {takes}', file=where, flush=True)
        return memory

    limit = CHIPS[mesh.devices.flat[0].device_kind].memory
    images = largest_batch(memory_of, limit, 8 * experiment.recipe.accumulation)
    if not images:
        print('not even the smallest batch fits; use recipe.remat or more devices')
        return 1
    show = _json if form == 'json' else _table
    print(show(*found[images]))
    return 0


def _json(experiment, found) -> str:
    from inception_jax.speed.roofline import CHIPS, roofline

    messages = {kind: m._asdict() for kind, m in found.messages.items()}
    chip = CHIPS.get(found.device)
    least = roofline(found, chip) if chip else None
    return json.dumps(
        {
            'network': experiment.network.name,
            'recipe': dataclasses.asdict(experiment.recipe),
            'parallel': dataclasses.asdict(experiment.parallel),
            **dataclasses.asdict(found),
            'messages': messages,
            'roofline': least._asdict() if least else None,
        }
    )


def _table(experiment, found) -> str:
    from inception_jax.speed.roofline import CHIPS, GIB, roofline

    each = found.batch_size // found.devices
    rows = [
        ('step', f'{experiment.network.name}, {experiment.recipe.dtype}'),
        ('devices', f'{found.devices} x {found.device}, {each} images on each'),
        ('memory', f'{found.memory / GIB:.2f} GiB a device'),
        ('', f'{found.arguments / GIB:.2f} state and batch'),
        ('', f'{found.temporaries / GIB:.2f} temporaries'),
        ('', f'{found.program / GIB:.2f} program'),
        ('arithmetic', f'{found.flops / 1e12:.3f} TFLOP a device'),
        ('traffic', f'{found.bytes_accessed / 1e9:.1f} GB read and written a device'),
    ]
    for kind, m in found.messages.items():
        rows.append(('messages', f'{m.count} {kind}, {m.bytes / 1e6:.2f} MB'))
    if not found.messages:
        rows.append(('messages', 'none'))
    if found.micro_batches > 1:
        rows.append(('', f'these three of one of {found.micro_batches} micro-batches'))
    chip = CHIPS.get(found.device)
    if least := roofline(found, chip) if chip else None:
        rows += [
            (
                'at least',
                f'{1e3 * least.step:.1f} ms a step, '
                f'{found.batch_size / least.step:,.0f} images/s',
            ),
            ('', f'{1e3 * least.arithmetic:.1f} ms of arithmetic'),
            ('', f'{1e3 * least.memory:.1f} ms of traffic'),
            ('', f'{1e3 * least.messages:.1f} ms of messages, not hidden'),
        ]
    return '\n'.join(f'{name:<12}{text}' for name, text in rows)
