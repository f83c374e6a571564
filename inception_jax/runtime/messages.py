"""Notes to the user on standard error."""

import sys


def warn(message: str) -> None:
    """Prints one note in a single write, because threads may print at once."""
    sys.stderr.write(f'note: {message}\n')
    sys.stderr.flush()
