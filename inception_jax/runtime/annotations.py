"""Type annotations of config and JSON fields: checks of values, and names in words."""

import types
import typing
from collections.abc import Mapping
from typing import Any

# Types of arrays, which no config or JSON can hold.
ARRAYS = ('jax', 'jaxlib', 'numpy')


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value from a config file or from JSON fits a type annotation.

    An int fits a float, and a list fits a tuple.

    >>> fits([1, 2.5], tuple[float, float]), fits(True, int), fits('a', list[str])
    (True, False, False)
    """
    kind = typing.get_origin(annotation) or annotation
    parts = typing.get_args(annotation)
    if kind in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in parts)
    if kind is typing.Literal:
        return isinstance(value, str) and value in parts
    if kind is Any:
        return True
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is tuple:
        return isinstance(value, list | tuple) and _fit_items(value, parts)
    if kind is list:
        return isinstance(value, list) and _fit_items(value, (*parts, ...))
    if kind is Mapping:
        item = parts[1] if parts else Any
        return isinstance(value, Mapping) and all(fits(x, item) for x in value.values())
    return value is None if kind is types.NoneType else isinstance(value, kind)


def _fit_items(values, annotations) -> bool:
    if annotations[-1] is Ellipsis:
        return all(fits(value, annotations[0]) for value in values)
    return len(values) == len(annotations) and all(map(fits, values, annotations))


def annotation_text(annotation: Any) -> str:
    """Returns an annotation in words, without arrays, which a config cannot hold.

    >>> annotation_text(tuple[float, float] | None)
    'list of 2 float or None'
    """
    kind, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if kind in (typing.Union, types.UnionType):
        plain = [part for part in parts if not _is_array(part)]
        return ' or '.join(map(annotation_text, plain))
    if kind is typing.Literal:
        return ' or '.join(parts)
    if kind is tuple:
        many = '' if parts[-1] is Ellipsis else f'{len(parts)} '
        return f'list of {many}{annotation_text(parts[0])}'
    if kind is list:
        return f'list of {annotation_text(parts[0])}'
    if (kind or annotation) is Mapping:
        return f'{annotation_text(parts[1])} by name' if parts else 'values by name'
    return 'None' if annotation is types.NoneType else annotation.__name__


def _is_array(annotation: Any) -> bool:
    return getattr(annotation, '__module__', '').partition('.')[0] in ARRAYS
