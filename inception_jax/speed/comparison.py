"""Measures our network, alone or in alternating rounds with the network of a peer.

Each side runs in a separate process. While one side is measured, the other waits.
"""

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import inception_jax
from inception_jax.networks.catalogue import load
from inception_jax.networks.network import Network
from inception_jax.runtime import allocator
from inception_jax.runtime.signals import Stopped
from inception_jax.speed.peers import Peer, Relative
from inception_jax.speed.process import MeasuringProcess, start_process

MATMUL_SECONDS = 0.5

# The cache would hide the time that compiling takes. Without preallocation two
# processes share the memory of an accelerator.
ENVIRONMENT = {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
SHARED_ENVIRONMENT = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}

Report = Callable[[str], None]


class Against(NamedTuple):
    """The peer of a comparison, its network, and the Python that runs its program.

    `slow` is whether to try the settings that compile for minutes.
    """

    name: str
    peer: Peer
    relative: Relative
    python: str
    slow: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A network, what to run it with, and the peer to compare it with, if any.

    `chosen` are the arguments of `choose` that give `network`, `recipe` those of
    `imagenet_recipe`, `dtype` among them. Each of the `rounds` takes about `seconds`
    for each side.
    """

    chosen: dict[str, Any]
    network: Network
    batch_size: int
    recipe: dict[str, Any]
    rounds: int
    seconds: float
    against: Against | None = None

    @property
    def twin(self) -> Network | None:
        """Our network that computes the same as the network of the peer, if any."""
        if self.against is None:
            return None
        twin = load(self.against.relative.twin)
        return dataclasses.replace(
            twin,
            input_size=self.network.input_size,
            auxiliary=twin.auxiliary if self.network.auxiliary else None,
        )

    @property
    def devices(self) -> int | None:
        """How many devices we use: one beside a peer, which uses one; None for all."""
        return 1 if self.against else None


class Side(NamedTuple):
    """A process that is ready to measure.

    `built` is its report on compiling and the first step, `count` the number of steps
    in a turn.
    """

    process: MeasuringProcess
    built: dict
    count: int

    def turn(self) -> float:
        """Returns the seconds of a turn; a fifth as many untimed steps come before it.

        At least one does: the first step after the other side's turn finds cold caches,
        and memory that a virtual machine has returned.
        """
        before = max(1, self.count // 5)
        return self.process.ask('steps', count=self.count, before=before)['seconds']


class SideTimes(NamedTuple):
    """The measurements of a side.

    `seconds` has the seconds of the turn of each round, `matmul` the FLOP per second of
    a product of matrices after each round, `memory` the peak in bytes.
    """

    built: dict
    count: int
    seconds: list[float]
    memory: dict
    matmul: list[float]


def find_devices(comparison: Comparison) -> dict:
    """Returns our devices and the versions of both sides; nothing is built yet.

    Raises:
      ValueError: the batch does not divide over the devices, or the peer cannot run.
      Stopped: a process died.
    """
    with _our_process(comparison) as ours:
        device = ours.ask(
            'hello', batch_size=comparison.batch_size, devices=comparison.devices
        )
    if comparison.against:
        device['peer_versions'] = _peer_versions(comparison, device['platform'])
    return device


def _peer_versions(comparison: Comparison, platform: str) -> dict[str, str]:
    """Returns the versions of the peer's packages.

    Raises:
      ValueError: packages are missing, or cannot run on such a device.
    """
    against = comparison.against
    with _peer_process(comparison, platform) as peer:
        try:
            reply = peer.ask('hello', platform=platform, network=against.relative.name)
        except Stopped as error:
            raise ValueError(
                f'{error}; {against.python} needs {against.peer.packages} (-m pip '
                'install), or name another Python by --peer-python'
            ) from error
    return reply['versions']


def measure_parts(
    parts: Sequence[str], comparison: Comparison, platform: str, report: Report
) -> dict[str, dict[str, SideTimes]]:
    """Measures parts (`forward`, `train`) of a network; returns the sides by part.

    `report` receives a line of progress after each round.

    Raises:
      Stopped: a process died, for instance for lack of memory.
    """
    return {part: _measure_part(part, comparison, platform, report) for part in parts}


def _measure_part(
    part: str, comparison: Comparison, platform: str, report: Report
) -> dict[str, SideTimes]:
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_our_side(part, comparison))
        sides = {'ours': ours}
        report(f'{part}: ours is ready after {ours.built["startup_seconds"]:.0f} s')
        if against := comparison.against:
            side = stack.enter_context(_peer_side(part, comparison, platform, report))
            sides[against.name] = side
        return alternate(part, sides, comparison.rounds, report)


def alternate(
    part: str, sides: dict[str, Side], rounds: int, report: Report
) -> dict[str, SideTimes]:
    """Measures each side once a round, then the product of matrices."""
    seconds = {name: [] for name in sides}
    memory, matmul = {}, []
    for number in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side.turn())
            # Before the product of matrices, whose memory belongs to no step.
            memory[name] = memory.get(name) or side.process.ask('memory')
        reply = sides['ours'].process.ask('matmul', seconds=MATMUL_SECONDS)
        matmul.append(reply['flops_per_second'])
        report(f'{part}: round {number + 1} of {rounds}')
    return {
        name: SideTimes(side.built, side.count, seconds[name], memory[name], matmul)
        for name, side in sides.items()
    }


@contextlib.contextmanager
def _our_side(part: str, comparison: Comparison) -> Iterator[Side]:
    with _our_process(comparison) as ours:
        ours.ask('hello', batch_size=comparison.batch_size, devices=comparison.devices)
        yield _build(
            ours,
            comparison,
            part=part,
            network=comparison.chosen,
            batch_size=comparison.batch_size,
            recipe=comparison.recipe,
        )


@contextlib.contextmanager
def _peer_side(
    part: str, comparison: Comparison, platform: str, report: Report
) -> Iterator[Side]:
    """Builds the peer's network in the setting that was fastest in a trial turn."""
    name, peer, _, _, slow = comparison.against
    settings = [*peer.settings, *(peer.slow if slow else ())]
    with tempfile.TemporaryDirectory() as cache:
        tried, first = {}, {}
        for setting in settings if len(settings) > 1 else ():
            with _peer_in(setting, part, comparison, platform, cache) as side:
                first[setting] = side.built
                tried[setting] = side.turn() / side.count
            report(f'{part}: {name}, {setting}: {tried[setting]:.3g} s a step')
        best = min(tried, key=tried.get, default=settings[-1])
        with _peer_in(best, part, comparison, platform, cache) as side:
            # The second start reads the compiled programs of the trial from disk.
            built = side.built | first.get(best, {})
            yield side._replace(built=built | {'setting': best, 'tried': tried})


@contextlib.contextmanager
def _peer_in(
    setting: str, part: str, comparison: Comparison, platform: str, cache: str
) -> Iterator[Side]:
    network = comparison.network
    cached = {'TORCHINDUCTOR_CACHE_DIR': cache}
    with _peer_process(comparison, platform, cached) as peer:
        yield _build(
            peer,
            comparison,
            part=part,
            network=comparison.against.relative.name,
            setting=setting,
            auxiliary=part == 'train' and network.auxiliary is not None,
            classes=network.classes,
            batch_size=comparison.batch_size,
            input_size=network.input_size,
            dtype=comparison.recipe['dtype'],
            platform=platform,
        )


def _build(process: MeasuringProcess, comparison: Comparison, **request: Any) -> Side:
    """Asks a process to build its network and run the first step."""
    built = process.ask('build', **request)
    built['startup_seconds'] = process.age()
    return Side(process, built, _steps_of_a_turn(process, comparison.seconds))


def _steps_of_a_turn(process: MeasuringProcess, target: float) -> int:
    """Returns how many steps take about `target` seconds.

    A single step is no measure: the second and third may still be slow.
    """
    count, before = 1, 1
    while True:
        seconds = process.ask('steps', count=count, before=before)['seconds']
        if seconds > target / 2:
            return max(1, min(count, round(count * target / seconds)))
        guess = round(count * target / max(seconds, 1e-6))
        count, before = min(10 * count, max(count + 1, guess)), 0


def _our_process(
    comparison: Comparison,
) -> contextlib.AbstractContextManager[MeasuringProcess]:
    """Starts our process, which imports this package from the same place."""
    root = str(Path(inception_jax.__file__).parent.parent)
    paths = os.pathsep.join([root, *filter(None, sys.path)])
    shared = SHARED_ENVIRONMENT if comparison.against else {}
    return start_process(
        'inception_jax',
        [sys.executable, '-m', 'inception_jax.speed.ours'],
        os.environ | ENVIRONMENT | shared | {'PYTHONPATH': paths},
    )


def _peer_process(
    comparison: Comparison, platform: str, variables: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[MeasuringProcess]:
    """Starts the peer's process, for the kind of device that ours has."""
    against = comparison.against
    return start_process(
        against.name,
        [against.python, str(against.peer.program)],
        peer_environment(against.peer, platform) | (variables or {}),
    )


def peer_environment(peer: Peer, platform: str) -> dict[str, str]:
    """Returns the environment variables of the process of a peer."""
    inherited = os.environ
    if not peer.jemalloc:
        inherited = allocator.without_jemalloc(inherited)
    platforms = {'JAX_PLATFORMS': 'cpu'} if platform == 'cpu' else {}
    return dict(inherited) | ENVIRONMENT | SHARED_ENVIRONMENT | platforms
