"""Checks of a value that must be one of a few names."""

import difflib
from collections.abc import Iterable


def check(field: str, value: object, choices: Iterable[str]) -> None:
    """Raises ValueError unless `value` is one of `choices`.

    Args:
      field: the name by which the user knows the value, e.g. `config.parallel.mode`.

    Raises:
      ValueError: the message lists the choices and suggests the most similar one.

    >>> check('optimizer', 'rmsprop', ('rmsprop', 'momentum'))
    >>> check('optimizer', 'rmspro', ('rmsprop', 'momentum'))
    Traceback (most recent call last):
    ValueError: optimizer 'rmspro' is none of rmsprop, momentum; did you mean rmsprop?
    """
    choices = tuple(choices)
    if value not in choices:
        near = nearest(str(value), choices)
        hint = f'; did you mean {near}?' if near else ''
        raise ValueError(f'{field} {value!r} is none of {", ".join(choices)}{hint}')


def nearest(
    name: str, choices: Iterable[str], *, similarity: float = 0.6
) -> str | None:
    """Returns the most similar choice, None if none has this similarity (0 to 1)."""
    return next(iter(difflib.get_close_matches(name, choices, 1, similarity)), None)
