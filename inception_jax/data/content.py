"""The identity of a source: digests that show whether its examples have changed."""

import concurrent.futures
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from inception_jax.data.example import Source, Unreadable, read_example
from inception_jax.data.labels import class_names_digest
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.messages import warn_once

# At most this many examples are read for the digest of the content.
SAMPLED = 1000
THREADS = 8

# The numbers of an identity, each with its noun.
COUNTS = {'images': ('image',), 'classes': ('class', 'classes')}
CONTENT_DIFFERS = 'the content of images differs'


def source_identity(source: Source) -> dict[str, Any]:
    """Returns the identity of a source, which resumes and evaluations compare.

    Keys:
      images, classes: the number of examples and of classes.
      class_names: a digest of the names of the classes.
      listing: a digest of the ids and labels.
      content: a digest of the sizes, and of the bytes of up to `SAMPLED` examples,
        evenly spaced over the source.

    Moving or copying a source does not change its identity.

    >>> from inception_jax.data.sources.open import open_source
    >>> source_identity(open_source('synthetic:6/2', 'train'))['images']
    6
    """
    count = min(len(source), SAMPLED)
    indices = np.linspace(0, len(source) - 1, count).round().astype(int).tolist()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        sampled = list(pool.map(lambda index: _sample(source, index), indices))
    listed = list(source.listing())
    ids = [name for name, _ in listed]
    if len(listed) < len(source):  # Each listed file holds many examples.
        ids += [name for name, _ in sampled]
    return {
        'images': len(source),
        'classes': source.classes,
        'class_names': class_names_digest(source.class_names),
        'listing': _digest(ids),
        'content': _digest(content for _, content in [*listed, *sampled]),
    }


def source_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the difference between two identities in words, '' if they are equal.

    Only keys of both identities are compared: older versions recorded fewer keys.
    """
    different = {key for key in before if key in now and before[key] != now[key]}
    if counts := [name for name in COUNTS if name in different]:
        then, today = (_counts(identity, counts) for identity in (before, now))
        return f'{then} then, {today} now'
    if 'class_names' in different:
        then, today = before['class_names'], now['class_names']
        return f'the names of classes differ (digest {then} then, {today} now)'
    if 'listing' in different:
        return 'the ids or labels of images differ'
    return CONTENT_DIFFERS if different else ''


def check_same_images(
    before: Mapping[str, Any], now: Mapping[str, Any], problem: str, advice: str
) -> None:
    """Raises ValueError if a source has other examples than before.

    If only the content of images differs, it prints a note instead, because somebody
    may have repaired an image.

    Args:
      problem: the first part of the message, e.g. 'the images of x have changed'.
      advice: the last part of the message: how to fix the problem.
    """
    changed = source_difference(before, now)
    if changed == CONTENT_DIFFERS:
        warn_once(f'{problem}: {changed}')
    elif changed:
        raise ValueError(f'{problem}: {changed}; {advice}')


def _sample(source: Source, index: int) -> tuple[str, str]:
    """Returns the id with the label of an example, and a digest of its image.

    A run may skip unreadable examples, so they must not prevent its start.
    """
    try:
        image, label, name = read_example(source, index)
    except Unreadable:
        return f'unreadable {index}', ''
    pixels = image if isinstance(image, bytes) else np.ascontiguousarray(image)
    shape = '' if isinstance(image, bytes) else image.shape
    return f'{name} {label}', f'{shape} {hashlib.sha256(pixels).hexdigest()}'


def _digest(parts: Iterable[str]) -> str:
    """Returns 12 hexadecimal digits: a digest of the digests of the parts."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part.encode()).digest())
    return whole.hexdigest()[:12]


def _counts(identity: Mapping[str, Any], names: Iterable[str]) -> str:
    return ' of '.join(counted(identity[name], *COUNTS[name]) for name in names)
