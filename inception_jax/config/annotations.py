"""Type annotations of config fields: whether a value fits, and their names in words."""

import types
import typing
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np


def fits(value: Any, annotation: Any) -> bool:
    """Whether a value from a config file or from JSON fits a type annotation.

    An int fits a float, and a list fits a tuple.
    """
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return any(fits(value, option) for option in typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is tuple:
        return isinstance(value, list | tuple) and _fit_items(
            value, typing.get_args(annotation)
        )
    if kind is Mapping:
        _, item = typing.get_args(annotation)
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
        plain = [part for part in parts if part not in (jax.Array, np.ndarray)]
        return ' or '.join(map(annotation_text, plain))
    if kind is tuple:
        many = '' if parts[-1] is Ellipsis else f'{len(parts)} '
        return f'list of {many}{annotation_text(parts[0])}'
    if kind is Mapping:
        return f'{annotation_text(parts[1])} by name'
    return 'None' if annotation is types.NoneType else annotation.__name__
