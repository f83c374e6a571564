"""The fields of a config with their types, defaults and meanings, for people."""

import dataclasses
import inspect
import re
import textwrap
from itertools import groupby
from typing import Any, NamedTuple

from inception_jax.config.experiment import (
    MAY_CHANGE_ON_RESUME,
    SECTIONS,
    config_fields,
)
from inception_jax.config.overrides import Config
from inception_jax.runtime.annotations import annotation_text

_WIDTH = 88


class FieldDescription(NamedTuple):
    """A field of a config.

    Attributes:
      section: the section of the config, e.g. run.
      name: the name of the field within its section.
      type: the type of its value in words.
      default: the value of a config without the field; `dataclasses.MISSING` if every
        config must have it.
      meaning: what the field is, from the docstring of its section.
      may_change: whether the value may change when a run resumes.
    """

    section: str
    name: str
    type: str
    default: Any
    meaning: str
    may_change: bool


def config_reference() -> list[FieldDescription]:
    """Returns the descriptions of all fields of a config, in the order of the sections.

    >>> seed = next(field for field in config_reference() if field.name == 'seed')
    >>> seed.type, seed.meaning, seed.may_change
    ('int', 'the seed of initial values, order of images, augmentation and dropout', \
False)
    """
    return [
        FieldDescription(
            section,
            name,
            annotation_text(field.type),
            field.default,
            _meanings(target)[name],
            f'{section}.{name}' in MAY_CHANGE_ON_RESUME,
        )
        for section, target in SECTIONS.items()
        for name, field in config_fields(target).items()
    ]


def config_text(config: Config) -> str:
    """Returns a complete config, section by section, with the meaning of each field.

    An asterisk marks a value that differs from the default of its field.
    """
    fields = config_reference()
    indent = 4 + max(len(field.name) for field in fields)
    lines = ['A line with * differs from the default of its field.']
    for section, group in groupby(fields, key=lambda field: field.section):
        lines += ['', section]
        for field in group:
            value = config[section][field.name]
            lines.append(_value_line(field, value, indent))
            meaning = textwrap.wrap(
                field.meaning, _WIDTH - indent, break_on_hyphens=False
            )
            lines += [' ' * indent + line for line in meaning]
    return '\n'.join(lines)


def _value_line(field: FieldDescription, value: Any, indent: int) -> str:
    default = field.default
    if default is dataclasses.MISSING or _as_list(value) == _as_list(default):
        return f'  {field.name}'.ljust(indent) + repr(value)
    return f'* {field.name}'.ljust(indent) + f'{value!r} (default: {default!r})'


def _as_list(value: Any) -> Any:
    """Returns a list for a tuple, because a config file may write either."""
    return list(value) if isinstance(value, tuple) else value


def _meanings(section: type) -> dict[str, str]:
    """Returns the entries of `Attributes` in a docstring, each without its last dot."""
    text = inspect.getdoc(section)
    block = re.search(r'^Attributes:\n((?:  .*\n?)+)', text, re.M)[1]
    entries = re.findall(r'^  (\w+): (.*(?:\n    .*)*)', block, re.M)
    return {name: ' '.join(words.split()).rstrip('.') for name, words in entries}
