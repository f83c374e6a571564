"""Finding the image files below a folder, and counting the files that are ignored."""

import errno
import heapq
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from inception_jax.data.decode import EXTENSIONS
from inception_jax.runtime.amounts import counted

# Folders and files that operating systems write beside images. Names that begin with
# a dot are skipped too.
SYSTEM_NAMES = frozenset(
    {
        '@eaDir',
        '@Recycle',
        '#recycle',
        '$RECYCLE.BIN',
        '__MACOSX',
        'lost+found',
        'System Volume Information',
        'desktop.ini',
        'Thumbs.db',
        'thumbs.db',
    }
)

Identity = tuple[int, int]


class ImageFiles(NamedTuple):
    """The image files below a folder.

    `names` are paths relative to the folder. They are sorted, so that their order does
    not depend on the file system. `ignored` counts all other files by extension or
    kind, without hidden files and system files.
    """

    names: list[str]
    ignored: Counter[str]


def images_below(
    folder: Path, outside: frozenset[Identity] = frozenset()
) -> ImageFiles:
    """Finds the image files below a folder at any depth.

    Symbolic links are followed, but each real folder is read only once. Links to the
    folders in `outside`, or to folders that contain `folder`, are ignored. If several
    paths lead to a folder, the path with the fewest links is used.

    Raises:
      ValueError: a folder cannot be read.
    """
    visited = {*outside, *enclosing_folders(folder)}
    images, ignored, waiting = [], Counter(), [(0, '')]
    while waiting:
        links, prefix = heapq.heappop(waiting)
        here = folder / prefix
        if prefix and folder_identity(here) in visited:
            ignored['link to a folder that was already read'] += 1
            continue
        visited.add(folder_identity(here))
        for entry in visible_entries(here):
            kind = entry_kind(entry)
            if kind == 'folder':
                place = links + entry.is_symlink(), f'{prefix}{entry.name}/'
                heapq.heappush(waiting, place)
            elif kind == 'image':
                images.append(prefix + entry.name)
            else:
                ignored[kind] += 1
    return ImageFiles(sorted(images), ignored)


def visible_entries(folder: Path) -> Iterator[os.DirEntry]:
    """Yields the entries of a folder that are neither hidden nor system files.

    Raises:
      ValueError: the folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            yield from (
                entry
                for entry in entries
                if not entry.name.startswith('.') and entry.name not in SYSTEM_NAMES
            )
    except OSError as error:
        raise ValueError(
            f'{folder} cannot be read ({error.strerror}); its images would be missing. '
            'Repair or remove the folder'
        ) from error


def entry_kind(entry: os.DirEntry) -> str:
    """Returns 'folder', 'image', or the extension or kind of a file to ignore.

    Raises:
      ValueError: the entry is a link to a place that cannot be read.
    """
    try:
        if entry.is_dir():
            return 'folder'
        if entry.is_file():
            ending = Path(entry.name).suffix.lower()
            return 'image' if ending in EXTENSIONS else ending or 'no extension'
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise ValueError(
                f'{entry.path} cannot be read ({error.strerror}); repair or remove it'
            ) from error
    return 'pipe, socket or device' if os.path.exists(entry.path) else 'broken link'


def folder_identity(folder: str | Path) -> Identity:
    """Returns the device and inode of a folder, which all its paths share."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def enclosing_folders(folder: Path) -> set[Identity]:
    """Returns the identities of a folder and of all folders that contain it."""
    real = folder.resolve()
    return {folder_identity(path) for path in (real, *real.parents)}


def ignored_note(folder: Path, ignored: Mapping[str, int]) -> str:
    """Returns a sentence on the ignored files of a folder, or '' if there are none."""
    if not ignored:
        return ''
    kinds = sorted(ignored.items(), key=lambda pair: (-pair[1], pair[0]))
    counts = ', '.join(f'{kind} {count:,}' for kind, count in kinds)
    files = counted(sum(ignored.values()), 'file')
    return f'{folder}: ignored {files} ({counts})'


def utf8_name(name: str) -> str:
    """Returns the name of a file with \\xff in place of bytes that are not UTF-8."""
    return os.fsencode(name).decode('utf-8', 'backslashreplace')


def file_size(path: Path) -> int | None:
    """Returns the size of a file in bytes, or None if it cannot be read."""
    try:
        return path.stat().st_size
    except OSError:
        return None
