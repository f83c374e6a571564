"""Compares our path from image files to training crops with timm's, in one run.

Command   TFDS_DATA_DIR=DIR python benchmarks/input.py [--source tfds:imagenet2012]
Needs     pip install torch torchvision timm, in an environment of its own
Cost      two minutes
Prints    images/s of one core's time and of all cores, and ratios with their spread

The sides alternate. timm's transform is the one that its trainer uses with a
prefetcher: random area and aspect of the same ranges, bilinear, uint8. It leaves flip,
normalisation and conversion to floats to the device, as we leave flip and colours.
timm's images are in memory; ours are read from records, shuffled and batched, and
Grain's time counts. The areas have another distribution: see
`geometry.random_area_crop`. A small source is repeated up to an epoch of 60,000,
because Grain's shuffle takes longer to find an index of few.
"""

import argparse
import functools
import io
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from inception_jax.commands.shared.cli import markdown_table
from inception_jax.data.decode import decode
from inception_jax.data.example import Example, Source
from inception_jax.data.geometry import random_area_crop
from inception_jax.data.pipeline import training_batches
from inception_jax.data.prefetch import cores
from inception_jax.data.resize import crop_and_resize
from inception_jax.data.sources.open import open_source
from inception_jax.runtime.amounts import counted

SIZE, AREA, ASPECT = 299, (0.05, 1.0), (3 / 4, 4 / 3)
BATCH, EPOCH = 50, 60_000
AHEAD = 2 * cores() * 2 * BATCH  # more images than any stream has prepared


class Rates(NamedTuple):
    """Images per second of CPU time (`core`) and of wall-clock time (`clock`)."""

    core: float
    clock: float


def timed(work: Callable[[], int]) -> Rates:
    """Returns the rates of `work`, which returns the number of its images."""
    clock, core = time.perf_counter(), time.process_time()
    images = work()
    return Rates(
        images / (time.process_time() - core), images / (time.perf_counter() - clock)
    )


def our_transform(files: Sequence[bytes]) -> int:
    rng = np.random.default_rng(0)
    for file in files:
        image = decode(file)
        box = random_area_crop(rng, *image.shape[:2], area=AREA, aspect=ASPECT)
        crop_and_resize(image, box, SIZE)
    return len(files)


def our_batches(source: Source, threads: int) -> Iterator[dict]:
    return training_batches(
        Repeated(source),
        batch_size=BATCH,
        size=SIZE,
        seed=0,
        area=AREA,
        aspect=ASPECT,
        threads=threads,
    )


def consumed(batches: Iterator, images: int) -> int:
    """Takes `images` images or more from a stream and touches each of its batches."""
    done = 0
    while done < images:
        batch = next(batches)
        pixels = batch['image'] if isinstance(batch, dict) else batch[0]
        done += len(pixels[:, 0, 0, 0])
    return done


def settled() -> None:
    """Waits until prefetching has ended, which would count as the next side's time."""
    time.sleep(1.0)
    used = -1.0
    while time.process_time() - used > 0.01:
        used = time.process_time()
        time.sleep(0.2)


class Repeated:
    """A source that is repeated up to an epoch of `EPOCH` images."""

    def __init__(self, source: Source):
        self.source, self.class_names = source, source.class_names
        self.classes = source.classes

    def __len__(self) -> int:
        return EPOCH

    def __getitem__(self, index: int) -> Example:
        return self.source[index % len(self.source)]


class InMemory:
    """Files in memory as a repeated data set of torch's DataLoader."""

    def __init__(self, files: Sequence[bytes], transform: Callable):
        self.files, self.transform = files, transform

    def __len__(self) -> int:
        return 100 * EPOCH

    def __getitem__(self, index: int):
        file = self.files[index % len(self.files)]
        return self.transform(Image.open(io.BytesIO(file)).convert('RGB')), 0


def timm_transform(files: Sequence[bytes], transform: Callable) -> int:
    for file in files:
        transform(Image.open(io.BytesIO(file)).convert('RGB'))
    return len(files)


def compare(source: Source, rounds: int, seconds: float) -> dict[str, list[Rates]]:
    """Measures both sides alternately for `rounds` rounds of about `seconds` each."""
    import torch
    from timm.data import create_transform
    from timm.data.loader import fast_collate

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    files = [source[index].image for index in range(len(source))]
    options = {'is_training': True, 'scale': AREA, 'ratio': ASPECT}
    lean = create_transform(SIZE, **options, color_jitter=None, use_prefetcher=True)
    default = create_transform(SIZE, **options)
    loader = torch.utils.data.DataLoader(
        InMemory(files, lean), BATCH, num_workers=cores(), collate_fn=fast_collate
    )
    streams = {
        'ours, pipeline of one thread': our_batches(source, 1),
        'ours, pipeline of all cores': our_batches(source, cores()),
        "timm's transform, lean, in torch's loader": iter(loader),
    }
    images = max(len(files), round(seconds * timed(lambda: our_transform(files)).clock))

    def of_stream(name: str) -> Rates:
        # Images that were prepared before the turn do not count.
        consumed(streams[name], AHEAD)
        return timed(lambda: consumed(streams[name], images))

    sides = {
        'ours, transform': lambda: timed(lambda: our_transform(files)),
        "timm's transform, lean": lambda: timed(lambda: timm_transform(files, lean)),
        "timm's transform, default": lambda: timed(
            lambda: timm_transform(files, default)
        ),
    } | {name: functools.partial(of_stream, name) for name in streams}
    rates = {name: [] for name in sides}
    for _ in range(rounds):
        for name, turn in sides.items():
            settled()
            rates[name].append(turn())
    return rates


def show(rates: dict[str, list[Rates]]) -> str:
    """Returns a table, and the median and range of the ratios of the rounds."""

    def row(name: str, rate: str) -> tuple[str, ...]:
        values = [getattr(turn, rate) for turn in rates[name]]
        return (
            name,
            {
                'core': "one core's second",
                'clock': f'second of {counted(cores(), "core")}',
            }[rate],
            f'{statistics.median(values):,.0f}',
            f'{min(values):,.0f} to {max(values):,.0f}',
        )

    def ratio(ours: str, peer: str, rate: str) -> str:
        values = [
            getattr(our_turn, rate) / getattr(peer_turn, rate)
            for our_turn, peer_turn in zip(rates[ours], rates[peer], strict=True)
        ]
        return (
            f'{ours} / {peer}: {statistics.median(values):.2f} '
            f'({min(values):.2f} to {max(values):.2f})'
        )

    transform, lean, default, thread, all_ours, all_of_timm = rates
    rows = [row(name, 'core') for name in (transform, thread, lean, default)]
    rows += [row(name, 'clock') for name in (all_ours, all_of_timm)]
    return '\n'.join(
        [
            markdown_table(('program', 'images in', 'median', 'range'), rows),
            '',
            ratio(transform, lean, 'core'),
            ratio(thread, lean, 'core'),
            ratio(transform, default, 'core'),
            ratio(all_ours, all_of_timm, 'clock'),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--source', default='tfds:imagenet2012')
    parser.add_argument('--split', default='train')
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument(
        '--seconds',
        type=float,
        default=2.0,
        help='seconds of a turn, about (default: 2)',
    )
    options = parser.parse_args()
    try:
        source = open_source(options.source, options.split)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(show(compare(source, options.rounds, options.seconds)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
