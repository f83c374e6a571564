"""Errors of files of weights and of zip archives, as one line each."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Weights hardly compress; an archive that grows by more than this factor is a bomb.
MOST_GROWTH = 4


class NotWeights(Exception):
    """The reason why a file has no weights; the message follows the file's name."""


@contextlib.contextmanager
def damage_as_not_weights(*kinds: type[Exception]) -> Iterator[None]:
    """Turns the errors by which a library reports a damaged file into NotWeights."""
    try:
        yield
    except NotWeights:
        raise
    except kinds as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NotWeights(f'is cut short or damaged ({first})') from error


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive whose content is not far larger than the file.

    Raises:
      NotWeights: it is damaged, or would grow too much when it is unpacked.
    """
    # zipfile reports damage by many kinds of exceptions.
    with damage_as_not_weights(Exception), zipfile.ZipFile(path) as archive:
        size = path.stat().st_size
        whole = sum(member.file_size for member in archive.infolist())
        if whole > MOST_GROWTH * max(size, 2**16):
            raise NotWeights(
                f'would unpack from {size:,} bytes to {whole:,}; weights do not shrink '
                'that much, so it is refused'
            )
        yield archive
