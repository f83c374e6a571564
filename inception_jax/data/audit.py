"""An audit of a source: counts, sizes, formats, duplicates and unreadable images."""

import collections
import concurrent.futures
import hashlib
import itertools
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from inception_jax.data.decode import decode, open_header
from inception_jax.data.example import (
    Source,
    Unreadable,
    check_same_classes,
    notes,
    read_example,
)

# The number of records that are read in advance.
AHEAD = 256


class AuditRecord(NamedTuple):
    """A record of a split, with height and width in pixels.

    `kind` is format and mode, such as 'JPEG RGB'. `digest` is the SHA-256 of the
    content. `error` is '' if the record can be read.
    """

    split: str
    id: str
    label: int | None = None
    height: int = 0
    width: int = 0
    kind: str = ''
    digest: bytes = b''
    error: str = ''


class SplitCounts(NamedTuple):
    """The number of images of a split: in total, by class name and by kind.

    `heights` and `widths` are (smallest, median, largest) in pixels. `notes` come
    from the source, e.g. on ignored files.
    """

    images: int
    classes: dict[str, int]
    kinds: dict[str, int]
    heights: tuple[float, ...]
    widths: tuple[float, ...]
    notes: tuple[str, ...]


class AuditReport(NamedTuple):
    """The result of an audit.

    `splits` maps each split to its counts. `duplicates` are groups of (split, id) with
    the same content, also across splits. `unreadable` are (split, id, reason).
    `problems` are further reasons why `train` rejects the splits.
    """

    splits: dict[str, SplitCounts]
    duplicates: list[list[tuple[str, str]]]
    unreadable: list[tuple[str, str, str]]
    problems: list[str]


def audit(
    sources: Mapping[str, Source], progress: Callable[[int], None] = lambda done: None
) -> AuditReport:
    """Reads and decodes every record of some splits once, on all cores.

    `sources` maps the names of the splits to their sources. `progress` is called with
    the number of records that are read.

    >>> from inception_jax.data.sources.open import open_source
    >>> report = audit({'train': open_source('synthetic:6/2', 'train')})
    >>> report.splits['train'].classes, report.duplicates
    ({'0': 3, '1': 3}, [])
    """
    records = []
    for record in _records(sources):
        records.append(record)
        progress(len(records))
    by_digest = collections.defaultdict(list)
    for record in records:
        if record.digest:
            by_digest[record.digest].append((record.split, record.id))
    return AuditReport(
        {
            split: _split_counts(source, [r for r in records if r.split == split])
            for split, source in sources.items()
        },
        [group for group in by_digest.values() if len(group) > 1],
        [(record.split, record.id, record.error) for record in records if record.error],
        _problems(list(sources.values())),
    )


def _problems(sources: Sequence[Source]) -> list[str]:
    """Returns why a run cannot train on the first source and evaluate on the rest."""
    problems = []
    for other in sources[1:]:
        try:
            check_same_classes(sources[0], other)
        except ValueError as error:
            problems.append(str(error))
    return problems


def _records(sources: Mapping[str, Source]) -> Iterator[AuditRecord]:
    """Yields the records of all sources in their order."""
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
        image, label, name = read_example(source, index)
    except Unreadable as error:
        return AuditRecord(split, f'number {index}', error=str(error))
    content = image if isinstance(image, bytes) else np.ascontiguousarray(image)
    try:
        height, width, _ = decode(image).shape
    except ValueError as error:
        return AuditRecord(split, name, label, error=str(error))
    try:
        kind = _kind(image)
    except ValueError:  # Only Pillow rejects it, e.g. for a damaged colour profile.
        kind = 'unknown'
    digest = hashlib.sha256(content).digest()
    return AuditRecord(split, name, label, height, width, kind, digest)


def _kind(image: bytes | np.ndarray) -> str:
    """Returns Pillow's names of format and mode, e.g. JPEG RGB, JPEG L, PNG RGBA."""
    if not isinstance(image, bytes):
        return f'pixels {"L" if image.shape[2:] in ((), (1,)) else "RGB"}'
    with open_header(image) as file:
        return f'{file.format} {file.mode}'


def _split_counts(source: Source, records: Sequence[AuditRecord]) -> SplitCounts:
    readable = [record for record in records if not record.error]
    by_label = collections.Counter(record.label for record in records)
    by_kind = collections.Counter(record.kind for record in readable)
    return SplitCounts(
        len(records),
        {name: by_label[label] for label, name in enumerate(source.class_names)},
        dict(by_kind.most_common()),
        _range([record.height for record in readable]),
        _range([record.width for record in readable]),
        notes(source),
    )


def _range(values: list[int]) -> tuple[float, ...]:
    return (min(values), statistics.median(values), max(values)) if values else ()
