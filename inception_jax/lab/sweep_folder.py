"""A sweep on disk: the base config, the members and their table."""

import csv
import dataclasses
import html
import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from inception_jax.config.experiment import MAY_CHANGE_ON_RESUME
from inception_jax.config.overrides import Config, flatten, override, value_at
from inception_jax.lab.grid import Changes, short_names
from inception_jax.lab.table import (
    RESULTS,
    Row,
    cell_value,
    final_filters,
    member_results,
)
from inception_jax.networks.catalogue import check_imported
from inception_jax.networks.describe.table import aligned
from inception_jax.runs.workdir import SWEEP, check_workdir_path, is_sweep
from inception_jax.runtime.files import (
    lock_file,
    refuse_unwritable,
    write_atomically,
    write_json,
)
from inception_jax.runtime.json_files import misfit, read_json
from inception_jax.runtime.messages import printable
from inception_jax.runtime.paths import local_path
from inception_jax.stability.verdicts import verdict_counts

# The fields of sweep.json.
FIELDS = {'config': Mapping[str, Mapping], 'members': Mapping[str, Mapping]}

# The columns that a person reads first.
SHOWN = ('verdict', 'step', 'steps_done', 'top_1_error', 'cross_entropy')


@dataclasses.dataclass(frozen=True, repr=False)
class Sweep:
    """A base config, and what each member changes in it, by the name of the member.

    `repr` is one line, `print` gives a table, and a notebook shows the stability map.

    >>> from pathlib import Path
    >>> members = {'seed=1': {'run.seed': 1}}
    >>> sweep = Sweep(Path('runs/sweep'), {'run': {'seed': 0}}, members)
    >>> sweep
    Sweep('runs/sweep', 1 member: 1 unfinished)
    >>> sweep.config_of('seed=1')
    {'run': {'seed': 1}}
    """

    folder: Path
    config: Config
    members: dict[str, Changes]

    def __fspath__(self) -> str:
        """A sweep stands for its folder wherever a path is expected."""
        return str(self.folder)

    def workdir(self, member: str) -> Path:
        """Returns the folder of the run of a member."""
        return self.folder / 'members' / member

    def config_of(self, member: str) -> Config:
        """Returns the config of a member."""
        return override(self.config, self.members[member])

    @property
    def varied(self) -> dict[str, str]:
        """The fields in which members differ, dotted, with their names in tables."""
        return short_names(f for changes in self.members.values() for f in changes)

    def table(self) -> list[Row]:
        """Returns a row for each member, read from its folder now.

        A row has `member`, the fields that vary and the results; `pandas.DataFrame`
        takes the list. None stands for a value that is not known yet. Errors are in
        percent, cross-entropies in nats.
        """
        return [self._row(member) for member in self.members]

    def verdict_counts(self) -> str:
        """Returns how many members have each verdict, as in `2 dead, 1 alive`."""
        return verdict_counts(
            member_results(self.workdir(member), self.config_of(member))['verdict']
            for member in self.members
        )

    def _row(self, member: str) -> Row:
        config = self.config_of(member)
        return {
            'member': member,
            **{short: value_at(config, field) for field, short in self.varied.items()},
            **member_results(self.workdir(member), config),
            'filters': final_filters(config),
        }

    def __repr__(self) -> str:
        count = len(self.members)
        members = f'{count} member{"" if count == 1 else "s"}'
        return f'Sweep({str(self.folder)!r}, {members}: {self.verdict_counts()})'

    def __str__(self) -> str:
        return '\n'.join([repr(self), *aligned(self._cells(), left=1)])

    def _cells(self) -> list[list[str]]:
        """Returns the header and the rows of a table for people."""
        columns = [*self.varied.values(), *SHOWN]
        rows = [[_shown(row[column]) for column in columns] for row in self.table()]
        return [columns, *rows]

    def _repr_html_(self) -> str:
        header, *rows = (
            [html.escape(cell) for cell in cells] for cells in self._cells()
        )
        lines = [f'<tr><th>{"</th><th>".join(header)}</th></tr>']
        lines += [f'<tr><td>{"</td><td>".join(cells)}</td></tr>' for cells in rows]
        return f'{self._map()}<table>{"".join(lines)}</table>'

    def _map(self) -> str:
        """Returns the stability map as SVG."""
        from inception_jax.plots.grouping import field_label, group_by_map, map_axes
        from inception_jax.plots.stability import draw_stability_map

        table = self.table()
        labels = {short: field_label(field) for field, short in self.varied.items()}
        grid = group_by_map(table, *map_axes(table, labels))
        with tempfile.TemporaryDirectory() as folder:
            draw_stability_map(table, grid, Path(folder, 'map'), fields=labels)
            svg = Path(folder, 'map.svg').read_text()
        return svg[svg.index('<svg') :]


def _shown(value) -> str:
    if value is None:
        return ''
    return f'{value:.4g}' if isinstance(value, float) else printable(cell_value(value))


def open_sweep(folder: Path, config: Config, members: Mapping[str, Changes]) -> Sweep:
    """Returns the sweep of a folder with these members added to those it has.

    A member whose config equals that of another member is left out.

    Raises:
      ValueError: the folder holds a run, or a sweep of another config.
    """
    check_workdir_path(folder)
    sweep = Sweep(folder, json.loads(json.dumps(config)), _distinct(config, members))
    if (folder / 'config.json').exists():
        raise ValueError(f'{folder} holds a run; use another folder for a sweep')
    if not is_sweep(folder):
        return sweep
    before = read_sweep(folder)
    _check_networks(before, sweep)
    old, new = flatten(before.config), flatten(sweep.config)
    # A field that only one config has, as in a sweep of an older version, is left to
    # the checks of each member.
    changed = [n for n in sorted(old.keys() & new.keys()) if old[n] != new[n]]
    for field in changed:
        if field not in MAY_CHANGE_ON_RESUME:
            raise ValueError(
                f'{folder} holds a sweep with config.{field}={old[field]!r}, and this '
                f'config has {new[field]!r}; use another folder'
            )
    members = _distinct(config, before.members | sweep.members)
    return dataclasses.replace(sweep, members=members)


def _check_networks(before: Sweep, now: Sweep) -> None:
    """Raises ValueError if members on disk name code that the new sweep does not."""
    named = {_network(now.config), *(_network(now.config_of(m)) for m in now.members)}
    for member in before.members:
        if (name := _network(before.config_of(member))) not in named:
            check_imported(name, before.folder / SWEEP)


def _network(config: Config) -> str:
    return str(value_at(config, 'network.name'))


def _distinct(config: Config, members: Mapping[str, Changes]) -> dict[str, Changes]:
    """Returns the members without those whose config equals that of an earlier one."""
    name_of: dict[str, str] = {}
    for name, changes in members.items():
        # As floats, since 1 and 1.0 are the same number.
        config_json = json.loads(json.dumps(override(config, changes)), parse_int=float)
        name_of.setdefault(json.dumps(config_json, sort_keys=True), name)
    return {name: members[name] for name in name_of.values()}


def read_sweep(folder: str | Path) -> Sweep:
    """Returns the sweep of a folder.

    Raises:
      ValueError: the folder holds no sweep, or its file is damaged.

    >>> table = read_sweep('runs/sweep').table()  # doctest: +SKIP
    >>> read_sweep('no_such_folder')
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a sweep
    """
    folder = local_path(folder)
    path = folder / SWEEP
    if not is_sweep(folder):
        problem = 'holds no sweep' if folder.exists() else 'does not exist'
        raise ValueError(f'{folder} {problem}; check the path, or start a sweep')
    try:
        content = read_json(path)
        reason = misfit(content, FIELDS) or _bad_member(content['members'])
    except (OSError, ValueError) as error:
        reason = printable(error)
    if reason:
        raise ValueError(
            f'{path} is not a file of a sweep, or is damaged ({reason}); restore it '
            'from a copy'
        )
    return Sweep(folder, content['config'], content['members'])


def _bad_member(names: Iterable[str]) -> str | None:
    """Returns which name is not that of a folder in members/, None if all are."""
    for name in names:
        if name in ('', '.', '..') or {'/', '\\', '\0'} & {*name}:
            return f'a member is called {printable(name)!r:.60}'
    return None


def write_sweep(sweep: Sweep) -> None:
    """Writes the sweep into its folder, with members that others have added since.

    Raises:
      ValueError: the folder cannot be written, or holds a sweep of another config.
    """
    path = sweep.folder / SWEEP
    with refuse_unwritable(sweep.folder):
        (sweep.folder / 'members').mkdir(parents=True, exist_ok=True)
        with lock_file(path):
            now = open_sweep(sweep.folder, sweep.config, sweep.members)
            content = {'config': now.config, 'members': now.members}
            write_json(path, content)


def write_table(folder: Path) -> None:
    """Writes table.csv into the folder of a sweep, atomically.

    Shards that end at the same time write one after another, so the last table has the
    results of all.
    """
    path = folder / 'table.csv'
    with lock_file(path):
        sweep = read_sweep(folder)
        table = sweep.table()
        columns = ['member', *sweep.varied.values(), *RESULTS]
        with write_atomically(path) as draft, draft.open('w', newline='') as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(
                [cell_value(row[column]) for column in columns] for row in table
            )
