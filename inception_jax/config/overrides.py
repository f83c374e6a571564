"""Changes to a config: values written on a command line, and fields by dotted name."""

import ast
import copy
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

Config = dict[str, dict[str, Any]]

# The fields that other libraries name differently.
SYNONYMS = {
    'accum': 'recipe.accumulation',
    'arch': 'network.name',
    'batch': 'run.batch_size',
    'bn_decay': 'recipe.batch_norm_decay',
    'bn_momentum': 'recipe.batch_norm_decay',
    'bs': 'run.batch_size',
    'dataset': 'data.source',
    'ema': 'hparams.ema_decay',
    'grad_clip': 'hparams.clip_norm',
    'image_size': 'network.input_size',
    'img_size': 'network.input_size',
    'init': 'recipe.initializer',
    'l2': 'hparams.weight_decay',
    'lr': 'hparams.learning_rate',
    'lr_decay': 'hparams.decay_rate',
    'model': 'network.name',
    'num_classes': 'network.classes',
    'opt': 'recipe.optimizer',
    'precision': 'recipe.dtype',
    'pretrained': 'recipe.init_from',
    'random_seed': 'run.seed',
    'resolution': 'network.input_size',
    'scale': 'hparams.residual_scale',
    'scales': 'hparams.residual_scale',
    'warmup': 'hparams.warmup_epochs',
    'wd': 'hparams.weight_decay',
    'weights': 'recipe.init_from',
}
# Fields of a lower similarity, from 0 to 1, are no suggestion.
LEAST_SIMILARITY = 0.6


def literal(expression: str) -> Any:
    """Returns the value of a Python literal; another expression stays a string.

    >>> literal('0.1'), literal('true'), literal("{'c': 2}"), literal('he')
    (0.1, True, {'c': 2}, 'he')
    """
    words = {'true': True, 'false': False}
    try:
        return ast.literal_eval(expression)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return words.get(expression.lower(), expression)


def literals(expression: str) -> list[Any]:
    """Returns the values of literals separated by commas.

    >>> literals("0.1, he, {'c': 0.2}")
    [0.1, 'he', {'c': 0.2}]
    """
    try:
        parts = ast.parse(f'[{expression}]', mode='eval').body.elts
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return [literal(part.strip()) for part in expression.split(',')]
    return [literal(ast.unparse(part)) for part in parts]


def parse_overrides(arguments: Sequence[str]) -> dict[str, Any]:
    """Returns the values of arguments `--config.section.field=value` by field.

    Raises:
      ValueError: an argument has another form.
    """
    changes = {}
    for argument in arguments:
        name, equals, value = argument.removeprefix('--config.').partition('=')
        if not argument.startswith('--config.') or not equals:
            raise ValueError(
                f'unknown argument {argument}; see --help, and set fields of the '
                'config with --config.section.field=value'
            )
        changes[name] = literal(value)
    return changes


def resolve(config: Config, name: str) -> str:
    """Returns the full dotted name of a field, as `run.seed` for `seed`.

    More names after a field name entries of its value, as in `network.width.stem`.

    Raises:
      ValueError: no field or several fields have the name.
    """
    head, *rest = name.split('.')
    if head in config:
        if not rest or rest[0] not in config[head]:
            raise ValueError(unknown_field('config.', name, flatten(config)))
        return name
    sections = [section for section, fields in config.items() if head in fields]
    if not sections:
        raise ValueError(unknown_field('config.', name, flatten(config)))
    if len(sections) > 1:
        names = ' or '.join(f'{section}.{name}' for section in sections)
        raise ValueError(f'{name} names several fields; write {names}')
    return f'{sections[0]}.{name}'


def override(config: Config, changes: Mapping[str, Any]) -> Config:
    """Returns a copy of a config with other values; `changes` are by name.

    >>> override({'run': {'seed': 0, 'epochs': 10}}, {'seed': 3})
    {'run': {'seed': 3, 'epochs': 10}}

    Raises:
      ValueError: a field is unknown, or a name leads into a value without entries.
    """
    config = copy.deepcopy(config)
    for name, value in changes.items():
        *path, last = resolve(config, name).split('.')
        entries = config
        for i, key in enumerate(path):
            if entries[key] is None:
                entries[key] = {}
            entries = entries[key]
            if not isinstance(entries, dict):
                raise ValueError(
                    f'config.{name}: config.{".".join(path[: i + 1])} is {entries!r}, '
                    'which has no entries; give it values by name first'
                )
        entries[last] = value
    return config


def value_at(config: Mapping[str, Any], name: str) -> Any:
    """Returns the value at a full dotted name, None if the config has none."""
    value: Any = config
    for key in name.split('.'):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def unknown_field(prefix: str, name: str, names: Iterable[str]) -> str:
    """Returns the error message for an unknown field, with the most similar name."""
    if field := SYNONYMS.get(name.split('.')[-1].lower()):
        hint = f'did you mean config.{field}?'
    elif near := _most_similar(name, names):
        hint = f'did you mean {prefix}{near}?'
    else:
        hint = 'docs/config.md lists the fields'
    return f'unknown field {prefix}{name}; {hint}'


def _most_similar(name: str, fields: Iterable[str]) -> str | None:
    """Returns the field whose full or last name is most similar, None if none is."""

    def similarity(field: str) -> tuple[float, float]:
        full = SequenceMatcher(None, field, name).ratio()
        last_names = (each.split('.')[-1] for each in (field, name))
        return max(full, SequenceMatcher(None, *last_names).ratio()), full

    near = max(fields, key=similarity)
    return near if similarity(near)[0] >= LEAST_SIMILARITY else None


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of all fields by dotted name."""
    return {
        f'{section}.{name}': value
        for section, fields in config.items()
        for name, value in fields.items()
    }
