"""Changes to a config, as text on a command line and as values by dotted name."""

import ast
import copy
from collections.abc import Iterable, Mapping
from typing import Any

from inception_jax.runtime.choices import nearest

Config = dict[str, dict[str, Any]]


def literal(text: str) -> Any:
    """Returns the Python value that a text spells; other texts stand for themselves."""
    words = {'true': True, 'false': False}
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return words.get(text.lower(), text)


def literals(text: str) -> list[Any]:
    """Returns values separated by commas, as in `0.1, he, {'c': 0.2}`."""
    try:
        parts = ast.parse(f'[{text}]', mode='eval').body.elts
    except SyntaxError:
        return [literal(part.strip()) for part in text.split(',')]
    return [literal(ast.unparse(part)) for part in parts]


def resolve(config: Config, name: str) -> str:
    """Returns the full dotted name of a field: `run.seed` for `seed`.

    What follows a field names an entry of its value, as in `network.width.stem`.

    Raises:
      ValueError: there is no such field, or there are several.
    """
    head, *rest = name.split('.')
    if head in config:
        if not rest or rest[0] not in config[head]:
            raise ValueError(unknown_field('config.', name, _fields(config)))
        return name
    found = [section for section, fields in config.items() if head in fields]
    if not found:
        raise ValueError(unknown_field('config.', name, _fields(config)))
    if len(found) > 1:
        names = ' or '.join(f'{section}.{name}' for section in found)
        raise ValueError(f'{name} names several fields; write {names}')
    return f'{found[0]}.{name}'


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Returns a config with other values at dotted names.

    Raises:
      ValueError: a name leads into a value that is not by name.
    """
    config = copy.deepcopy(config)
    for name, value in changes.items():
        *path, last = resolve(config, name).split('.')
        place = config
        for i, key in enumerate(path):
            if place[key] is None:
                place[key] = {}
            place = place[key]
            if not isinstance(place, dict):
                raise ValueError(
                    f'config.{name}: config.{".".join(path[: i + 1])} is {place!r}, '
                    'which has no parts; give it values by name first'
                )
        place[last] = value
    return config


def value_at(config: Mapping[str, Any], name: str) -> Any:
    """Returns the value at a dotted name, None where there is none."""
    value: Any = config
    for key in name.split('.'):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def unknown_field(prefix: str, name: str, names: Iterable[str]) -> str:
    """Returns what to say about a field that is not there."""
    near = nearest(name, names, similarity=0.0)
    hint = f'; did you mean {prefix}{near}?' if near else ''
    return f'unknown field {prefix}{name}{hint}'


def _fields(config: Config) -> list[str]:
    return [
        f'{section}.{name}' for section, fields in config.items() for name in fields
    ]


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a config by their dotted names."""
    return {
        f'{s}.{name}': v for s, fields in config.items() for name, v in fields.items()
    }
