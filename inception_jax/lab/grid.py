"""The members of a sweep: what each changes in the config, and where it lives."""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inception_jax.config.experiment import MAY_CHANGE_ON_RESUME
from inception_jax.config.overrides import Config, flatten, literals, override, resolve
from inception_jax.runs.workdir import is_sweep
from inception_jax.runtime.files import lock_file, refuse_unwritable, write_json

Changes = dict[str, Any]
LONGEST_NAME = 100

# One member after another; one on each device; all of a program at once on one device.
ENGINES = ('sequential', 'devices', 'vmap')


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A base config and what each member changes in it, by the name of the member."""

    folder: Path
    config: Config
    members: dict[str, Changes]

    def workdir(self, member: str) -> Path:
        return self.folder / 'members' / member

    def config_of(self, member: str) -> Config:
        return override(self.config, self.members[member])

    @property
    def varied(self) -> dict[str, str]:
        """The fields in which members differ, dotted, and what tables call them."""
        return short_names(itertools.chain(*self.members.values()))


def short_names(fields: Iterable[str]) -> dict[str, str]:
    """Returns each dotted name without its section, unless two would be equal."""
    fields = list(dict.fromkeys(fields))
    last = [field.partition('.')[2] for field in fields]
    return {
        field: short if last.count(short) == 1 else field
        for field, short in zip(fields, last, strict=True)
    }


def grid_product(config: Config, grid: str) -> list[Changes]:
    """Returns the combinations of a grid such as `residual_scale=0.1,1;seed=0,1,2`.

    Raises:
      ValueError: a part is not NAME=VALUES, there is none, or there is no such field,
        or it stands there twice.
    """
    axes = {}
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
                f'config.{field} stands twice in the grid {grid!r}; name it once, with '
                'all its values'
            )
        axes[field] = literals(values)
    if not axes:
        raise ValueError(
            "a grid names no field; name some, e.g. 'residual_scale=0.1,1;seed=0,1,2'"
        )
    combinations = itertools.product(*axes.values())
    return [dict(zip(axes, values, strict=True)) for values in combinations]


def read_member_list(config: Config, path: Path) -> list[Changes]:
    """Reads members from a file of JSON: a list of objects, values by name of field.

    Raises:
      ValueError: it is something else, or there is no such field.
    """
    try:
        rows = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f'{path} is not JSON: {error}') from error
    if not isinstance(rows, list) or not all(isinstance(r, dict) for r in rows):
        raise ValueError(
            f'{path} holds something else than a list of objects such as '
            '[{"residual_scale": 0.1, "seed": 1}]'
        )
    return [{resolve(config, n): value for n, value in row.items()} for row in rows]


def name_members(members: Iterable[Changes]) -> dict[str, Changes]:
    """Returns members by their names, each once.

    Raises:
      ValueError: two that differ would have one name.
    """
    found: dict[str, Changes] = {}
    for changes in members:
        name = _name(changes)
        if found.setdefault(name, changes) != changes:
            raise ValueError(
                f'two members would be called {name}: {found[name]} and {changes}; put '
                'them into sweeps of their own'
            )
    return found


def open_sweep(folder: Path, config: Config, members: Mapping[str, Changes]) -> Sweep:
    """Returns the sweep of a folder with these members besides those it has.

    A member that says of the config what another one says is left out.

    Raises:
      ValueError: the folder holds a sweep of another config.
    """
    sweep = Sweep(folder, json.loads(json.dumps(config)), _distinct(config, members))
    if (folder / 'config.json').exists():
        raise ValueError(f'{folder} holds a run; use another folder for a sweep')
    if not is_sweep(folder):
        return sweep
    before = read_sweep(folder)
    old, new = (flatten(one.config) for one in (before, sweep))
    # Fields that only one has, as those of an older config, are for the members' own
    # checks.
    changed = [n for n in sorted(old.keys() & new.keys()) if old[n] != new[n]]
    for field in set(changed) - MAY_CHANGE_ON_RESUME:
        raise ValueError(
            f'{folder} holds a sweep with config.{field}={old.get(field)!r}, and this '
            f'config has {new.get(field)!r}; use another folder'
        )
    together = _distinct(config, before.members | sweep.members)
    return dataclasses.replace(sweep, members=together)


def _distinct(config: Config, members: Mapping[str, Changes]) -> dict[str, Changes]:
    """Returns the members without those whose config an earlier one has."""
    found: dict[str, str] = {}
    for name, changes in members.items():
        text = json.dumps(override(config, changes))
        # 1 and 1.0 are one number.
        same = json.dumps(json.loads(text, parse_int=float), sort_keys=True)
        found.setdefault(same, name)
    return {name: members[name] for name in found.values()}


def read_sweep(folder: Path) -> Sweep:
    """Returns the sweep of a folder.

    Raises:
      ValueError: there is none.
    """
    path = folder / 'sweep.json'
    if not is_sweep(folder):
        raise ValueError(f'{folder} holds no sweep; begin one with sweep --config')
    try:
        content = json.loads(path.read_text())
        return Sweep(folder, content['config'], content['members'])
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'{path} cannot be read as that of a sweep') from error


def write_sweep(sweep: Sweep) -> None:
    """Writes the sweep into its folder, with members that others have added since.

    Raises:
      ValueError: it cannot be written, or holds a sweep of another config.
    """
    path = sweep.folder / 'sweep.json'
    with refuse_unwritable(sweep.folder):
        (sweep.folder / 'members').mkdir(parents=True, exist_ok=True)
        with lock_file(path):
            now = open_sweep(sweep.folder, sweep.config, sweep.members)
            content = {'config': now.config, 'members': now.members}
            write_json(path, content)


def shard_of(members: Sequence[str], shard: tuple[int, int]) -> list[str]:
    """Returns the members of part i of n, neighbours together."""
    index, count = shard
    bounds = [len(members) * i // count for i in (index, index + 1)]
    return list(members[slice(*bounds)])


def parse_shard(text: str) -> tuple[int, int]:
    """Reads `i/n`, part i of n, counted from 0.

    Raises:
      ValueError: it is something else.
    """
    found = re.fullmatch(r'(\d+)/(\d+)', text)
    if not found or int(found[1]) >= int(found[2]):
        raise ValueError(
            f'--shard {text}; expected i/n with i from 0 to n - 1, e.g. 0/4'
        )
    return int(found[1]), int(found[2])


def _name(changes: Changes) -> str:
    """Returns a name that is also one of a folder: the same for the same changes."""
    short = short_names(changes)
    text = ','.join(f'{short[field]}={value}' for field, value in changes.items())
    name = re.sub(r'[^\w.=,+-]+', '_', text)
    if name == text and len(name) <= LONGEST_NAME:
        return name or 'base'
    digest = hashlib.sha256(json.dumps(changes).encode()).hexdigest()[:8]
    return f'{name[: LONGEST_NAME - 9]}-{digest}'
