"""Notes on standard error, errors in one line, and text that is safe to print."""

import functools
import sys
import unicodedata

# Characters of the category Cf that join letters, as in Hindi and in emoji.
JOINERS = '\u200c\u200d'


def printable(text: object) -> str:
    """Returns text in which control characters are escaped, as in Python's source.

    Names of files and classes, values of configs and errors of other programs may hold
    escape sequences, line ends or lone surrogates, which a terminal would interpret.

    >>> print(printable('lynx \\x1b[31m'), printable('Löwe'))
    lynx \\x1b[31m Löwe
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return ''.join(c if _is_harmless(c) else _escape(c) for c in text)


def printable_lines(text: object) -> str:
    """Returns text of several lines in which each line is `printable`."""
    return '\n'.join(map(printable, str(text).split('\n')))


def _is_harmless(character: str) -> bool:
    category = unicodedata.category(character)
    return (category[0] != 'C' and category not in ('Zl', 'Zp')) or character in JOINERS


def _escape(character: str) -> str:
    return character.encode('unicode_escape').decode()


def warn(message: str) -> None:
    """Prints one note in a single write, because threads may print at once."""
    sys.stderr.write(f'note: {one_line(message)}\n')
    sys.stderr.flush()


@functools.cache
def warn_once(message: str) -> None:
    """Prints a note, unless this process has printed the same note before."""
    warn(message)


def one_line(message: object) -> str:
    """Returns a message in one printable line.

    >>> one_line(ValueError('no such\\n  field'))
    'no such field'
    """
    return printable(' '.join(str(message).split()))


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type without a message.

    >>> first_line(OSError('disk full\\ndetails')), first_line(OSError())
    ('disk full', 'OSError')
    """
    text = os_error_text(error) if isinstance(error, OSError) else str(error)
    lines = text.splitlines() or [type(error).__name__]
    return printable(lines[0])


def os_error_text(error: OSError) -> str:
    """Returns the file and the reason of an error of the system.

    >>> os_error_text(OSError(28, 'No space left on device', 'run/metrics.jsonl'))
    'run/metrics.jsonl: No space left on device'
    """
    file = f'{error.filename}: ' if error.filename else ''
    return f'{file}{error.strerror or error}'


def print_all_names() -> None:
    """Makes output escape letters that its encoding lacks: \\u00e9 in ASCII."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors='backslashreplace')
