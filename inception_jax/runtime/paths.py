"""Checks that a path from the user is in the local file system.

A URL such as gs://bucket/run would silently become a local folder `gs:`, and an empty
path would become the current folder.
"""

import os
import re
from pathlib import Path

from inception_jax.runtime.messages import printable

StrPath = str | os.PathLike[str]

# The longest name of a file in bytes, on all common file systems.
LONGEST_NAME = 255


def local_path(path: StrPath) -> Path:
    """Returns a path after checking that it can name a local file or folder.

    Raises:
      ValueError: the path is empty, a URL or too long, or has a null byte.

    >>> local_path('runs/mine').name
    'mine'
    >>> local_path('gs://bucket/run')
    Traceback (most recent call last):
    ValueError: gs://bucket/run is a URL; mount the storage as a folder and name a \
local path
    """
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f'the path is {path!r}; expected a path such as runs/mine')
    name = os.fsdecode(path)
    if not name.strip():
        raise ValueError('the path is empty; name a file or a folder, e.g. runs/mine')
    if re.match(r'[A-Za-z][A-Za-z0-9+.-]+:/', name):
        # A Path has lost the second slash.
        url = re.sub(':/(?!/)', '://', name, count=1)
        raise ValueError(
            f'{printable(url)} is a URL; mount the storage as a folder and name a '
            'local path'
        )
    if '\0' in name:
        raise ValueError(
            f'the path {printable(name)!r:.80} has a null byte; use another name'
        )
    if max(map(len, os.fsencode(name).split(b'/'))) > LONGEST_NAME:
        raise ValueError(
            f'the path {printable(name):.40}... has a name of more than {LONGEST_NAME} '
            'bytes; use a shorter name'
        )
    return Path(name)
