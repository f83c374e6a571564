"""Notes to the user on standard error, and errors in one line."""

import sys


def warn(message: str) -> None:
    """Prints one note in a single write, because threads may print at once."""
    sys.stderr.write(f'note: {message}\n')
    sys.stderr.flush()


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, the error's name without one.

    >>> first_line(OSError('disk full\\ndetails')), first_line(OSError())
    ('disk full', 'OSError')
    """
    return (str(error) or type(error).__name__).splitlines()[0]
