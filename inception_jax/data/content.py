"""The identity of a source: whether two openings of it give the same examples."""

import concurrent.futures
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from inception_jax.data.example import Source, Unreadable, read_example
from inception_jax.data.labels import class_names_digest

# The number of examples whose content is read. All examples of a small source are read.
SAMPLED = 1000
THREADS = 8


def source_identity(source: Source) -> dict[str, Any]:
    """Returns as JSON what a resume or an evaluation must find again.

    Keys:
      images, classes: the number of examples and of classes.
      class_names: a digest of the names of the classes.
      listing: a digest of the ids, labels and sizes, as the source lists them.
      content: a digest of the id, the label and the bytes of `SAMPLED` examples, evenly
        spaced over the source.

    Moving or copying a source does not change its identity.

    >>> from inception_jax.data.sources.open import open_source
    >>> source_identity(open_source('synthetic:6/2', 'train'))['images']
    6
    """
    count = min(len(source), SAMPLED)
    indices = np.linspace(0, len(source) - 1, count).round().astype(int).tolist()
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        contents = pool.map(lambda index: _content(source, index), indices)
        return {
            'images': len(source),
            'classes': source.classes,
            'class_names': class_names_digest(source.class_names),
            'listing': _digest(line.encode() for line in source.listing()),
            'content': _digest(contents),
        }


def source_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Returns the difference between two identities in words, '' if they are equal.

    Only keys of both are compared, because older versions recorded fewer.
    """
    different = {key for key in before if key in now and before[key] != now[key]}
    if different & {'images', 'classes', 'class_names'}:
        return f'{_sizes(before)} then, {_sizes(now)} now'
    if 'listing' in different:
        return 'ids, labels or sizes of the images differ'
    return 'the content of the images differs' if different else ''


def _content(source: Source, index: int) -> bytes:
    """Returns the content of an example, or that it cannot be read.

    A run may skip unreadable examples, so they must not prevent its start.
    """
    try:
        image, label, name = read_example(source, index)
    except Unreadable:
        return b'unreadable'
    shape = b'' if isinstance(image, bytes) else repr(image.shape).encode()
    pixels = image if isinstance(image, bytes) else np.ascontiguousarray(image)
    return b'\0'.join([name.encode(), b'%d' % label, shape, bytes(pixels)])


def _digest(parts: Iterable[bytes]) -> str:
    """Returns 12 hexadecimal digits; each part enters by its own digest."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:12]


def _sizes(identity: Mapping[str, Any]) -> str:
    return (
        f'{identity["images"]:,} images of {identity["classes"]:,} classes (digest of '
        f'their names {identity["class_names"]})'
    )
