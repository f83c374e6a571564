"""Notes to the user on standard error, and errors in one line."""

import functools
import sys


def warn(message: str) -> None:
    """Prints one note in a single write, because threads may print at once."""
    sys.stderr.write(f'note: {message}\n')
    sys.stderr.flush()


@functools.cache
def warn_once(message: str) -> None:
    """Prints a note, unless this process has printed the same note before."""
    warn(message)


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, the error's name without one.

    >>> first_line(OSError('disk full\\ndetails')), first_line(OSError())
    ('disk full', 'OSError')
    """
    return (str(error) or type(error).__name__).splitlines()[0]


def print_all_names() -> None:
    """Makes output print \\u00e9 where its encoding has no such letter, as in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')
