"""Reads JSON strictly, because a file may be damaged or come from a stranger."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inception_jax.runtime.annotations import annotation_text, fits
from inception_jax.runtime.messages import printable

# No file of this package is deeper, and recursive functions can walk this depth.
DEEPEST = 100
LARGEST_INTEGER = 2**63


def parse_json(text: str | bytes) -> Any:
    """Parses JSON.

    Raises:
      ValueError: the text is not JSON, is nested too deeply, or has a number that is
        not finite.

    >>> parse_json('{"loss": 1e999}')
    Traceback (most recent call last):
    ValueError: the number 1e999 is not finite
    """
    try:
        value = json.loads(
            text,
            parse_float=_finite_float,
            parse_int=_finite_int,
            parse_constant=_finite_float,
        )
    except RecursionError:
        raise ValueError('it is nested too deeply') from None
    if _depth(value) > DEEPEST:
        raise ValueError('it is nested too deeply')
    return value


def read_json(path: Path) -> Any:
    """Returns the value in a JSON file.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is damaged; the message names it.
    """
    return parse_json_of(path, path.read_bytes())


def parse_json_of(path: Path, content: bytes) -> Any:
    """Returns the value in the content of a JSON file; see `read_json`."""
    try:
        return parse_json(content)
    except ValueError as error:
        raise ValueError(
            f'{path} is damaged ({printable(error)}); restore the file from a copy'
        ) from None


def misfit(
    value: Any, required: Mapping[str, Any], optional: Mapping[str, Any] | None = None
) -> str | None:
    """Returns the reason why a value is not an object with these fields, or None.

    Args:
      required: type annotations of the fields that the object must have.
      optional: type annotations of fields that it may have. Other fields are ignored.

    >>> misfit({'step': '3'}, {'step': int})
    "step is '3', expected int"
    >>> misfit([], {'step': int})
    'it is not a JSON object'
    """
    if not isinstance(value, Mapping):
        return 'it is not a JSON object'
    if missing := [name for name in required if name not in value]:
        return f'{", ".join(missing)} is missing'
    for name, annotation in {**required, **(optional or {})}.items():
        if name in value and not fits(value[name], annotation):
            shown = printable(f'{value[name]!r:.60}')
            return f'{name} is {shown}, expected {annotation_text(annotation)}'
    return None


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f'the number {text:.20} is not finite')
    return number


def _finite_int(text: str) -> int:
    number = int(text)
    if abs(number) > LARGEST_INTEGER:
        raise ValueError(f'the number {text:.20} is too large')
    return number


def _depth(value: Any) -> int:
    """Returns how deeply lists and objects are nested, without recursion."""
    depth, level = 0, [value]
    while level:
        depth, level = depth + 1, [x for part in level for x in _items(part)]
    return depth


def _items(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
