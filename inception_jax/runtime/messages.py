"""Notes that people did not ask for and should know."""

import sys


def warn(text: str) -> None:
    """Tells people what they did not ask for and should know."""
    # In one piece, for threads may have something to say at once.
    sys.stderr.write(f'note: {text}\n')
    sys.stderr.flush()
