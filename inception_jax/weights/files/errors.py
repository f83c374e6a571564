"""What can be wrong with a file of weights or an archive, as one line of ours."""

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Weights hardly shrink when they are packed; what grows by more is a bomb.
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
    """Yields an archive whose content is not far larger than its file.

    zipfile says in many ways that one is damaged.
    """
    with damaged(Exception), zipfile.ZipFile(path) as found:
        size = path.stat().st_size
        whole = sum(member.file_size for member in found.infolist())
        if whole > MOST_GROWTH * max(size, 2**16):
            raise NotWeights(
                f'would unpack from {size:,} bytes to {whole:,}; weights do not shrink '
                'like that'
            )
        yield found
