"""The two sides of a comparison, each in a process of its own, measured in turns."""

import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import inception_jax
from inception_jax.networks.network import Network
from inception_jax.runtime import allocator
from inception_jax.runtime.signals import Stopped
from inception_jax.speed.child import Child, child
from inception_jax.speed.relatives import Peer, Relative

MATMUL_SECONDS = 0.5

# A program that was compiled before would be read from the disk, and a side that takes
# all memory of an accelerator would leave none.
ENVIRONMENT = {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
SHARED_ENVIRONMENT = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}


class Against(NamedTuple):
    """Whom we are measured against, its relative of the network, and by which Python;
    whether it is tried in settings that compile for minutes.
    """

    name: str
    peer: Peer
    relative: Relative
    python: str
    slow: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What is measured. `chosen` are the arguments of `catalogue.choose`, `network` the
    value; `recipe` the choices of `work.recipe_of`, `dtype` among them; a turn takes
    about so many `seconds`.
    """

    chosen: dict[str, Any]
    network: Network
    batch_size: int
    recipe: dict[str, Any]
    rounds: int
    seconds: float
    against: Against | None = None


class Side(NamedTuple):
    """A process that is ready: what it told of its making, and the steps of a turn."""

    child: Child
    built: dict
    count: int

    def turn(self) -> float:
        """Returns the seconds of a turn; a fifth as many steps go before the clock.

        At least one does: the first after the other's turn finds caches cold, and
        memory that a virtual machine has given back.
        """
        before = max(1, self.count // 5)
        return self.child.ask('steps', count=self.count, before=before)['seconds']


class SideTimes(NamedTuple):
    """A side as it was measured: of each round the seconds, of the whole the rest."""

    built: dict
    count: int
    seconds: list[float]
    memory: dict
    matmul: list[float]


def check_comparison(asked: Comparison) -> dict:
    """Returns what our process tells of the devices, after a look at the peer.

    Raises:
      ValueError: the batch does not divide over the devices, or the peer cannot be
        measured.
      Stopped: a process died.
    """
    with _ours(asked) as ours:
        device = ours.ask('hello', batch_size=asked.batch_size, devices=_devices(asked))
    if asked.against:
        device['peer_versions'] = _peer_versions(asked, device['platform'])
    return device


def _peer_versions(asked: Comparison, platform: str) -> dict[str, str]:
    """Returns what the peer says that it consists of.

    Raises:
      ValueError: its packages are not there, or cannot run on such a device.
    """
    against = asked.against
    with _peer(asked, platform) as peer:
        try:
            told = peer.ask('hello', platform=platform, network=against.relative.name)
        except Stopped as error:
            raise ValueError(
                f'{error}; {against.python} needs {against.peer.packages} (-m pip '
                'install), or name another Python by --peer-python'
            ) from error
    return told['versions']


def measure_sides(
    part: str, asked: Comparison, platform: str, tell: Callable[[str], None]
) -> dict[str, SideTimes]:
    """Measures a part of the network, by turns with the peer if there is one.

    Raises:
      Stopped: a process died, for instance for want of memory.
    """
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(_our_side(part, asked))
        sides = {'ours': ours}
        tell(f'{part}: ours is ready after {ours.built["startup_seconds"]:.0f} s')
        if against := asked.against:
            side = stack.enter_context(_peer_side(part, asked, platform, tell))
            sides[against.name] = side
        return _by_turns(part, sides, asked.rounds, tell)


def _by_turns(
    part: str, sides: dict[str, Side], rounds: int, tell
) -> dict[str, SideTimes]:
    """Measures each side in each round, while the others wait."""
    seconds = {name: [] for name in sides}
    memory, matmul = {}, []
    for number in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side.turn())
            # Before the product of matrices, whose memory is no step's.
            memory[name] = memory.get(name) or side.child.ask('memory')
        told = sides['ours'].child.ask('matmul', seconds=MATMUL_SECONDS)
        matmul.append(told['flops_per_second'])
        tell(f'{part}: round {number + 1} of {rounds}')
    return {
        name: SideTimes(side.built, side.count, seconds[name], memory[name], matmul)
        for name, side in sides.items()
    }


@contextlib.contextmanager
def _our_side(part: str, asked: Comparison) -> Iterator[Side]:
    with _ours(asked) as ours:
        ours.ask('hello', batch_size=asked.batch_size, devices=_devices(asked))
        yield _built(
            ours,
            asked,
            part=part,
            network=asked.chosen,
            batch_size=asked.batch_size,
            recipe=asked.recipe,
        )


@contextlib.contextmanager
def _peer_side(part: str, asked: Comparison, platform: str, tell) -> Iterator[Side]:
    """Makes the peer's network in the setting that was the fastest in one turn."""
    peer = asked.against.peer
    settings = [*peer.settings, *(peer.slow if asked.against.slow else ())]
    with tempfile.TemporaryDirectory() as cache:
        tried, first = {}, {}
        for setting in settings if len(settings) > 1 else ():
            with _peer_in(setting, part, asked, platform, cache) as side:
                first[setting] = side.built
                tried[setting] = side.turn() / side.count
            tell(
                f'{part}: {asked.against.name}, {setting}: '
                f'{tried[setting]:.3g} s a step'
            )
        best = min(tried, key=tried.get, default=settings[-1])
        with _peer_in(best, part, asked, platform, cache) as side:
            # What was compiled in the trial comes from the disk now.
            built = side.built | first.get(best, {})
            yield side._replace(built=built | {'setting': best, 'tried': tried})


@contextlib.contextmanager
def _peer_in(
    setting: str, part: str, asked: Comparison, platform: str, cache: str
) -> Iterator[Side]:
    relative = asked.against.relative
    with _peer(asked, platform, {'TORCHINDUCTOR_CACHE_DIR': cache}) as peer:
        yield _built(
            peer,
            asked,
            part=part,
            network=relative.name,
            setting=setting,
            auxiliary=part == 'train' and asked.network.auxiliary is not None,
            classes=asked.network.classes,
            batch_size=asked.batch_size,
            input_size=asked.network.input_size,
            dtype=asked.recipe['dtype'],
            platform=platform,
        )


def _built(one: Child, asked: Comparison, **request: Any) -> Side:
    """Has a process make its network and its first step."""
    built = one.ask('build', **request)
    built['startup_seconds'] = one.age()
    return Side(one, built, _steps_of_a_turn(one, asked.seconds))


def _steps_of_a_turn(one: Child, wanted: float) -> int:
    """Returns how many steps took about the seconds of a turn when they were made.

    One step tells little: the second and third ones may still be slow.
    """
    count, before = 1, 1
    while True:
        seconds = one.ask('steps', count=count, before=before)['seconds']
        if seconds > wanted / 2:
            return max(1, min(count, round(count * wanted / seconds)))
        guess = round(count * wanted / max(seconds, 1e-6))
        count, before = min(10 * count, max(count + 1, guess)), 0


def _ours(asked: Comparison) -> contextlib.AbstractContextManager[Child]:
    """Starts our process, which imports from where this one does."""
    root = str(Path(inception_jax.__file__).parent.parent)
    paths = os.pathsep.join([root, *filter(None, sys.path)])
    shared = SHARED_ENVIRONMENT if asked.against else {}
    return child(
        'inception_jax',
        [sys.executable, '-m', 'inception_jax.speed.ours'],
        os.environ | ENVIRONMENT | shared | {'PYTHONPATH': paths},
    )


def _peer(
    asked: Comparison, platform: str, environment: dict[str, str] | None = None
) -> contextlib.AbstractContextManager[Child]:
    """Starts the peer's process, on the kind of device that ours has."""
    against, given = asked.against, os.environ
    if not against.peer.jemalloc:
        given = allocator.without_jemalloc(given)
    where = {'JAX_PLATFORMS': 'cpu'} if platform == 'cpu' else {}
    return child(
        against.name,
        [against.python, str(against.peer.program)],
        given | ENVIRONMENT | SHARED_ENVIRONMENT | where | (environment or {}),
    )


def _devices(asked: Comparison) -> int | None:
    """Returns of how many devices we make use: peers run on one."""
    return 1 if asked.against else None
