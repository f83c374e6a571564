"""Grids: the members of a sweep by their changes to the config, and their names."""

import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.config.overrides import Config, literals, resolve
from inception_jax.runtime.json_files import parse_json

# New values of a member, by the dotted name of the field.
Changes = dict[str, Any]

LONGEST_NAME = 100

# One member after another; one member on each device; all members of a program at once
# on one device.
ENGINES = ('sequential', 'devices', 'vmap')


def short_names(fields: Iterable[str]) -> dict[str, str]:
    """Returns each dotted name without its section, unless two would be equal."""
    fields = list(dict.fromkeys(fields))
    last = [field.partition('.')[2] for field in fields]
    return {
        field: short if last.count(short) == 1 else field
        for field, short in zip(fields, last, strict=True)
    }


def parse_grid(config: Config, grid: str) -> list[Changes]:
    """Returns the combinations of a grid such as `residual_scale=0.1,1;seed=0,1,2`.

    Raises:
      ValueError: a part is not NAME=VALUES, the grid is empty, there is no such field,
        or a field is named twice.
    """
    axes: dict[str, list] = {}
    for part in filter(None, map(str.strip, grid.split(';'))):
        name, equals, values = part.partition('=')
        if not equals or not literals(values):
            raise ValueError(
                f'{part!r} in a grid; expected NAME=VALUE,VALUE,... with ; between '
                'fields, e.g. residual_scale=0.1,1;seed=0,1,2'
            )
        field = resolve(config, name.strip())
        if field in axes:
            raise ValueError(
                f'config.{field} is named twice in the grid {grid!r}; name it once, '
                'with all its values'
            )
        axes[field] = literals(values)
    if not axes:
        raise ValueError(
            "a grid names no field; name some, e.g. 'residual_scale=0.1,1;seed=0,1,2'"
        )
    return grid_product(config, axes)


def grid_product(config: Config, axes: Mapping[str, Any]) -> list[Changes]:
    """Returns the combinations of values by the name of the field.

    A list, a tuple, a range or an array holds several values; all else is one value.

    Raises:
      ValueError: there is no such field, or a field has no value.

    >>> config = {'hparams': {'residual_scale': None}, 'run': {'seed': 0}}
    >>> for changes in grid_product(config, {'residual_scale': [0.1, 1], 'seed': 3}):
    ...     print(changes)
    {'hparams.residual_scale': 0.1, 'run.seed': 3}
    {'hparams.residual_scale': 1, 'run.seed': 3}
    """
    values_of = {resolve(config, name): _values(v) for name, v in axes.items()}
    for field, values in values_of.items():
        if not values:
            raise ValueError(
                f'the grid has no value for config.{field}; give it one or more'
            )
    combinations = itertools.product(*values_of.values())
    return [dict(zip(values_of, values, strict=True)) for values in combinations]


def _values(values: Any) -> list:
    if hasattr(values, 'tolist'):  # An array of NumPy becomes Python numbers.
        values = values.tolist()
    return list(values) if isinstance(values, list | tuple | range) else [values]


def read_member_list(config: Config, path: Path) -> list[Changes]:
    """Reads members from a JSON file: a list of objects, values by name of the field.

    Raises:
      ValueError: the file holds something else, or there is no such field.
    """
    try:
        rows = parse_json(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path} is not JSON: {error}') from None
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise ValueError(
            f'{path} does not hold a list of objects such as '
            '[{"residual_scale": 0.1, "seed": 1}]'
        )
    return [{resolve(config, n): value for n, value in row.items()} for row in rows]


def name_members(members: Iterable[Changes]) -> dict[str, Changes]:
    """Returns members by name, without repeated ones.

    Raises:
      ValueError: two different members would have the same name.
    """
    named: dict[str, Changes] = {}
    for changes in members:
        name = _name(changes)
        if named.setdefault(name, changes) != changes:
            raise ValueError(
                f'two members would be called {name}: {named[name]} and {changes}; put '
                'them into two sweeps'
            )
    return named


def _name(changes: Changes) -> str:
    """Returns a name that can be a folder's; equal changes have equal names."""
    short = short_names(changes)
    spelled = ','.join(f'{short[field]}={value}' for field, value in changes.items())
    name = re.sub(r'[^\w.=,+-]+', '_', spelled)
    if name == spelled and len(name) <= LONGEST_NAME:
        return name or 'base'
    digest = hashlib.sha256(json.dumps(changes).encode()).hexdigest()[:8]
    return f'{name[: LONGEST_NAME - 9]}-{digest}'


def shard_of(members: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Returns the members of shard i of n, a contiguous range."""
    index, count = shard
    bounds = [len(members) * i // count for i in (index, index + 1)]
    return list(members[slice(*bounds)])


def parse_shard(option: str) -> tuple[int, int]:
    """Reads `i/n`, shard i of n, counted from 0.

    Raises:
      ValueError: the option has another form.
    """
    match = re.fullmatch(r'(\d+)/(\d+)', option)
    if not match or int(match[1]) >= int(match[2]):
        raise ValueError(
            f'--shard {option}; expected i/n with i from 0 to n - 1, e.g. 0/4'
        )
    return int(match[1]), int(match[2])
