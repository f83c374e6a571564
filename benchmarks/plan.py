"""Plans training on a machine that you do not have, from a step compiled for it.

Command   python -m inception_jax train --dry-run --topology v5e:2x2 --format json \\
              --config configs/imagenet.py:inception_resnet_v2 \\
              --config.recipe.dtype=bfloat16 --config.run.batch_size=128 > v2.json
          python benchmarks/plan.py v2.json --machine v5e-256 --machine h100-64
Cost      a second; no JAX device
Prints    a row for each file and machine, in Markdown

Each device has the work of a device in the compiled step: as many images, the same
arithmetic and traffic. Only messages change with the number of devices. Nothing is
measured: the plan is a roofline. docs/scale.md lists its assumptions.
"""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import NamedTuple

from inception_jax.speed.costs import Costs, Messages
from inception_jax.speed.roofline import CHIPS, Chip, Roofline, roofline

IMAGES = 1_281_167


class Machine(NamedTuple):
    """A machine of many devices in hosts and groups.

    `devices` is the number of devices, `per_host` those of a host and `group` those
    that links connect. Between groups each device sends `outside` bytes per second. A
    collective takes at least `latency` seconds. `cores` of each host decode images.
    """

    chip: str
    devices: int
    per_host: int
    group: int
    outside: float
    latency: float
    cores: int


# Google's pages on v5e slices (ct5lp-hightpu-4t) and NVIDIA's on DGX H100 with a port
# of 400 Gbit/s for each GPU. The latencies are assumptions: some 32 hops of a
# microsecond around a torus of 16x16, and small all-reduces of NCCL over eight hosts.
MACHINES = {
    'v5e-4': Machine('TPU v5 lite', 4, 4, 4, 0.0, 10e-6, 112),
    'v5e-256': Machine('TPU v5 lite', 256, 4, 256, 0.0, 32e-6, 112),
    'h100-8': Machine('NVIDIA H100 80GB HBM3', 8, 8, 8, 0.0, 15e-6, 208),
    'h100-64': Machine('NVIDIA H100 80GB HBM3', 64, 8, 8, 50e9, 40e-6, 208),
}


class Plan(NamedTuple):
    """The best case of training on a machine.

    `least` has the seconds of a step. `memory` is the share of a device's memory that a
    step takes, `input` the share of a host's cores that decoding takes.
    """

    least: Roofline
    batch_size: int
    images_per_second: float
    memory: float
    input: float

    @property
    def epochs_per_hour(self) -> float:
        return 3600 * self.images_per_second / IMAGES


def plan(costs: Costs, machine: Machine, per_core: float) -> Plan:
    """Plans a step for a machine; each core decodes `per_core` images per second."""
    each = costs.batch_size // costs.devices
    chip = CHIPS[machine.chip]
    scaled = dataclasses.replace(costs, devices=machine.devices)
    least = roofline(scaled, _as_one(chip, machine), machine.latency)
    rate = each * machine.devices / least.step
    return Plan(
        least,
        each * machine.devices,
        rate,
        costs.memory / chip.memory,
        rate * machine.per_host / machine.devices / (machine.cores * per_core),
    )


def _as_one(chip: Chip, machine: Machine) -> Chip:
    """Returns the chip with a link that makes a single ring as fast as the machine.

    The machine sums within groups first, then a device's part between groups.
    """
    n, k = machine.devices, machine.group
    within = (k - 1) / k / chip.link
    between = (n / k - 1) / n / machine.outside if n > k else 0.0
    return chip._replace(link=(n - 1) / n / (within + between))


def read(path: Path) -> tuple[str, Costs]:
    """Returns the name and the costs in a file of `train --dry-run --format json`.

    Raises:
      ValueError: the file has other content, or no plan is possible for its step.
    """
    try:
        report = json.loads(path.read_text())
        messages = {kind: Messages(**m) for kind, m in report['messages'].items()}
        fields = {field.name: report[field.name] for field in dataclasses.fields(Costs)}
        norm = report['parallel']['batch_norm'].replace('_', ' ')
        name = f'{report["network"]}, {norm}'
        costs = Costs(**fields | {'messages': messages})
    except OSError as error:
        raise ValueError(f'{path} cannot be read: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} is not what `train --dry-run --format json` prints'
        ) from error
    if costs.device not in CHIPS or costs.devices < 2:
        raise ValueError(
            f'{path}: a step on {costs.devices} x {costs.device}; a plan needs the '
            'traffic and messages of a step on 2 accelerators or more: compile it with '
            '--topology v5e:2x2'
        )
    if costs.micro_batches > 1 or set(messages) - {'all-reduce'}:
        raise ValueError(
            f'{path} has a step with micro-batches or split kernels, whose messages '
            'no plan knows; use recipe.accumulation 1 and parallel.parameter_devices 1'
        )
    return name, costs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('files', nargs='+', type=Path, metavar='FILE')
    parser.add_argument(
        '--machine',
        action='append',
        choices=MACHINES,
        help='machine to plan for; may be repeated (default: all)',
    )
    parser.add_argument(
        '--per-core',
        type=float,
        default=200.0,
        help='images per second that one core decodes and crops (default: 200)',
    )
    options = parser.parse_args()
    if options.per_core <= 0:
        parser.error(f'--per-core {options.per_core:g}; expected more than 0')
    try:
        steps = [read(path) for path in options.files]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(
        '| machine | step, batch norm | batch | arithmetic | main memory | messages '
        '| step | images/s | epochs/hour | memory | input |\n' + '|---' * 11 + '|'
    )
    for name in options.machine or MACHINES:
        for step, costs in steps:
            print(_row(name, step, plan(costs, MACHINES[name], options.per_core)))
    return 0


def _row(machine: str, step: str, best: Plan) -> str:
    times = (*best.least, best.least.step)
    cells = [machine, step, f'{best.batch_size:,}']
    cells += [f'{1e3 * seconds:.1f} ms' for seconds in times]
    cells += [f'{best.images_per_second:,.0f}', f'{best.epochs_per_hour:.0f}']
    cells += [f'{100 * best.memory:.0f} %', f'{100 * best.input:.0f} %']
    return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
    sys.exit(main())
