"""Every command on a full disk, and on a read-only machine with one writable volume.

`python -m hostile.disks` (in tests/, as root on Linux) prints a line for each command.
It mounts in a namespace of its own, so the mounts of the machine stay as they are.
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.images import images
from helpers.paths import ROOT
from helpers.training import arguments

# Kernel file systems, and devices that semaphores of worker processes need.
KERNEL = ('/proc', '/sys', '/dev')
ROOM = '500m'
# The disk is full at another writer with each size.
SIZES = ('16k', '256k', '1m', '2m', '4m', ROOM)
NETWORK = '--network=helpers.tiny:NET'


class Outcome(NamedTuple):
    """The end of a command: where it ran, its exit status and its output."""

    place: str
    command: str
    status: int
    output: str
    errors: str

    @property
    def is_clean(self) -> bool:
        """Whether a command succeeded, or failed and says so in a line."""
        noise = ('Traceback', 'WARNING', 'Warning', 'Exception', '[Errno')
        if any(word in self.errors for word in noise):
            return False
        *_, last = ['', *self.errors.splitlines()]
        is_failure = last.startswith(f'inception-jax {self.command}: ')
        # A sweep continues after a failed member, and prints how many failed.
        if self.command == 'sweep':
            is_failure |= bool(re.search(r'[1-9]\d* failed', self.output))
        return is_failure == (self.status in (1, 2))

    def __str__(self) -> str:
        mark = 'ok ' if self.is_clean else 'BAD'
        *_, last = ['', *(self.errors or self.output).splitlines()]
        return f'{mark} {self.place}: {self.command} ended with {self.status}: {last}'


def prepare(old: Path) -> None:
    """Writes what the commands read: images, a run of 16 steps, and a weight file."""
    images(old / 'images')
    for command in (
        arguments(old / 'run', run__epochs=2),
        ['evaluate', f'--workdir={old}/run', NETWORK],
        ['convert', f'{old}/run', f'{old}/net.safetensors', NETWORK],
    ):
        outcome = start('prepared', command, old)
        assert outcome.status == 0, outcome.errors


def commands(old: Path, new: Path) -> list[list[str]]:
    """Returns a command line for each command, which reads `old` and writes `new`."""
    run, test = (f'--workdir={old}/run', NETWORK), f'{old}/images/test'
    training = arguments(new / 'run', run__epochs=1)
    sweep = arguments(new / 'sweep', run__epochs=1)[1:]
    fork = ('fork', *run, '--step=8', f'--into={new}/fork')
    return [
        training,
        ['sweep', *sweep, '--grid=seed=0,1'],
        [*fork, '--hparam=learning_rate=0.01'],
        ['evaluate', *run, f'--output={new}/p.npz'],
        ['ensemble', f'{old}/run/probabilities-1.npz', f'--output={new}/e.npz'],
        ['predict', *run, f'{test}/0/0.png', f'--output={new}/predictions.csv'],
        ['convert', f'{old}/run', f'{new}/a.safetensors', NETWORK],
        ['export', f'--weights={old}/net.safetensors', NETWORK, f'{new}/a.npz'],
        ['probe', *run, '--ask=scales', '--factors=1'],
        ['replay', *run, '--from=8', '--to=10'],
        ['report', f'{old}/run', f'--output={new}/report.html'],
        ['describe', 'inception_v4', '--format=svg', f'--output={new}/v4.svg'],
        ['data-check', f'--source=folder:{old}/images', '--split=test'],
    ]


def start(place: str, command: list[str], folder: Path) -> Outcome:
    """Runs a command in a folder, without HOME."""
    done = subprocess.run(
        [sys.executable, '-m', 'inception_jax', *command],
        cwd=folder,
        env={'PATH': os.environ['PATH'], 'PYTHONPATH': f'{ROOT}:{ROOT}/tests'},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(place, command[0], done.returncode, done.stdout, done.stderr)


def mount_volume(folder: Path, size: str) -> Path:
    """Mounts an empty file system of a size; returns its folder."""
    mount('-t', 'tmpfs', '-o', f'size={size}', 'none', str(folder))
    return folder


def mount(*options: str) -> None:
    subprocess.run(['mount', *options], check=True, capture_output=True)


def make_read_only(writable: Path) -> None:
    """Makes all file systems read-only, but one and the kernel's."""
    lines = Path('/proc/self/mountinfo').read_text().splitlines()
    for place in {line.split()[4] for line in lines}:
        if place != str(writable) and not place.startswith(KERNEL):
            with contextlib.suppress(subprocess.CalledProcessError):
                mount('-o', 'remount,bind,ro', place)


def campaign(folder: Path) -> Iterator[Outcome]:
    """Runs all commands on a full disk, again with more and more room, and read-only.

    Each finds what it left behind when there was less room.
    """
    old, new = folder / 'old', mount_volume(folder / 'full', SIZES[0])
    for size in SIZES:
        mount('-o', f'remount,size={size}', str(new))
        for command in commands(old, new):
            yield start(f'disk of {size}', command, new)
    new = mount_volume(folder / 'writable', ROOM)
    make_read_only(new)
    for command in commands(old, new):
        yield start('read-only machine', command, new)


def outcomes() -> Iterator[str]:
    """Yields the lines of the campaign, which runs in a namespace of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ('old', 'full', 'writable'):
            Path(folder, name).mkdir()
        prepare(Path(folder, 'old'))
        inside = [sys.executable, '-m', 'hostile.disks', folder]
        with subprocess.Popen(
            ['unshare', '--mount', *inside],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT / 'tests',
            env={**os.environ, 'PYTHONPATH': f'{ROOT}:{ROOT}/tests'},
        ) as process:
            yield from map(str.rstrip, process.stdout)


if __name__ == '__main__':
    lines = campaign(Path(sys.argv[1])) if sys.argv[1:] else outcomes()
    for line in lines:
        print(line, flush=True)
