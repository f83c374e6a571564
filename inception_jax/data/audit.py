"""Every record of a source read once: what there is, what is double, what is broken."""

import collections
import concurrent.futures
import hashlib
import io
import itertools
import os
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from PIL import Image

from inception_jax.data.decode import decode
from inception_jax.data.example import Source

# So many are read ahead of the one that is counted.
AHEAD = 256


class AuditRecord(NamedTuple):
    """What a record is: whose, of which size and kind, or why it cannot be read."""

    split: str
    id: str
    label: int | None = None
    height: int = 0
    width: int = 0
    kind: str = ''
    digest: bytes = b''
    error: str = ''


class SplitCounts(NamedTuple):
    """Counts of a split: by name of the class, and by kind such as 'JPEG RGB'.

    Sides are (least, median, greatest) in pixels.
    """

    images: int
    classes: dict[str, int]
    kinds: dict[str, int]
    heights: tuple[float, ...]
    widths: tuple[float, ...]


class AuditReport(NamedTuple):
    """What was found, by split; and over all of them, records with the same content,
    each as a group of (split, id), and the ones that cannot be read with the reason.
    """

    splits: dict[str, SplitCounts]
    duplicates: list[list[tuple[str, str]]]
    unreadable: list[tuple[str, str, str]]


def audit(
    sources: Mapping[str, Source], told: Callable[[int], None] = lambda done: None
) -> AuditReport:
    """Reads and decodes every record of the splits once, by all cores.

    `told` is told how many records are done.
    """
    found = []
    for one in _records(sources):
        found.append(one)
        told(len(found))
    by_digest = collections.defaultdict(list)
    for one in found:
        if one.digest:
            by_digest[one.digest].append((one.split, one.id))
    return AuditReport(
        {name: _split(name, source, found) for name, source in sources.items()},
        [group for group in by_digest.values() if len(group) > 1],
        [(one.split, one.id, one.error) for one in found if one.error],
    )


def _records(sources: Mapping[str, Source]) -> Iterator[AuditRecord]:
    """Yields the records of all sources, in their order."""
    places = (
        (split, source, index)
        for split, source in sources.items()
        for index in range(len(source))
    )
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        running = collections.deque(
            pool.submit(_record, *place) for place in itertools.islice(places, AHEAD)
        )
        while running:
            yield running.popleft().result()
            for place in itertools.islice(places, 1):
                running.append(pool.submit(_record, *place))


def _record(split: str, source: Source, index: int) -> AuditRecord:
    try:
        image, label, name = source[index]
    except Exception as error:
        return AuditRecord(split, f'number {index}', error=f'cannot be read ({error})')
    content = image if isinstance(image, bytes) else np.ascontiguousarray(image)
    try:
        height, width, _ = decode(image).shape
    except ValueError as error:
        return AuditRecord(split, name, label, error=str(error))
    digest = hashlib.sha256(content).digest()
    return AuditRecord(split, name, label, height, width, _kind(image), digest)


def _kind(image: bytes | np.ndarray) -> str:
    """Returns format and mode in Pillow's words, e.g. JPEG RGB, JPEG L, PNG RGBA."""
    if not isinstance(image, bytes):
        return f'pixels {"L" if image.shape[2:] in ((), (1,)) else "RGB"}'
    with Image.open(io.BytesIO(image)) as file:
        return f'{file.format} {file.mode}'


def _split(name: str, source: Source, found: list[AuditRecord]) -> SplitCounts:
    own = [one for one in found if one.split == name]
    good = [one for one in own if not one.error]
    counts = collections.Counter(one.label for one in own)
    kinds = collections.Counter(one.kind for one in good)
    return SplitCounts(
        len(own),
        {word: counts[label] for label, word in enumerate(source.class_names)},
        dict(kinds.most_common()),
        _range([one.height for one in good]),
        _range([one.width for one in good]),
    )


def _range(values: list[int]) -> tuple[float, ...]:
    return (min(values), statistics.median(values), max(values)) if values else ()
