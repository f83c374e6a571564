"""What can be wrong with a file of weights, and the check of packed archives."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Weights hardly shrink when they are packed; a file that grows by more is a bomb.
MOST_GROWTH = 4


class NotWeights(Exception):
    """Why a file is none of weights; the text goes on after its name."""


@contextlib.contextmanager
def damaged(*kinds: type[Exception]) -> Iterator[None]:
    """Makes what a library says of a damaged file one of ours."""
    try:
        yield
    except NotWeights:
        raise
    except kinds as error:
        first = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise NotWeights(f'is cut short or damaged ({first})') from error


@contextlib.contextmanager
def archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yields an archive, of which zipfile says in many ways that it is damaged."""
    with damaged(Exception), zipfile.ZipFile(path) as found:
        yield found


def check_growth(archive: zipfile.ZipFile, *names: str) -> None:
    """Raises NotWeights if unpacked a member would be far larger than packed.

    Those of these names are meant, or all.
    """
    for member in archive.infolist():
        if names and member.filename not in names:
            continue
        if member.file_size > MOST_GROWTH * max(member.compress_size, 1024):
            raise NotWeights(
                f'holds {member.filename}, whose {member.compress_size:,} bytes would '
                f'unpack to {member.file_size:,}; weights do not shrink like that'
            )
