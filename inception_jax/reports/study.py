"""What is on disk of a run, of a sweep or of several runs, as one value: a study."""

import csv
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from inception_jax.config.overrides import flatten, value_at
from inception_jax.lab.grid import short_names
from inception_jax.lab.sweep_folder import read_sweep
from inception_jax.lab.table import cell_value
from inception_jax.plots.grouping import CHANGE, change, usual
from inception_jax.runs.outcome import is_finished
from inception_jax.runs.records import Record, read_records
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import is_run
from inception_jax.stability.verdicts import LOST

Lineage = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of a study. What the run has not written yet is empty or None.

    `fields` are the values in which the members of the study differ, by their names in
    it; `filters` the channels of the last grid; `outcome` is verdict.json, `about` is
    config.json, `replays` are diagnostics of every step, by the steps that they span.
    Of a run with a damaged file nothing is read, and `error` says which it is.
    """

    name: str
    folder: Path
    fields: dict[str, Any]
    filters: int | None = None
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    outcome: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str | None = None
    records: list[Record] = dataclasses.field(default_factory=list)
    replays: dict[str, list[Record]] = dataclasses.field(default_factory=dict)
    lineage: Lineage | None = None
    commands: list[str] = dataclasses.field(default_factory=list)
    is_damaged: bool = False

    @property
    def verdict(self) -> str:
        """A verdict, or `failed` or `unfinished` where it is not final."""
        if self.outcome and is_finished(self.outcome):
            return self.outcome['verdict']
        return 'unfinished' if self.error is None else 'failed'

    @property
    def lost_at(self) -> int | None:
        """The step of death or divergence, None if it was before the run's fork."""
        step = self.outcome.get('step')
        since = self.lineage['step'] if self.lineage else 0
        lost = self.verdict in LOST and step is not None and step >= since
        return step if lost else None

    @property
    def steps_done(self) -> int:
        last = self.records[-1]['step'] if self.records else 0
        return self.outcome.get('steps_done', last)


@dataclasses.dataclass(frozen=True)
class Study:
    """Members of a `run` (one), a `sweep` or several `runs`, and their config.

    `fields` are those in which members differ, by name what people call them. Fields
    that only some members of a sweep change are one, `change`, which says how.
    `conclusion` is what an experiment made of its sweep, in words.
    """

    kind: str
    folder: Path
    members: list[Member]
    fields: dict[str, str]
    config: dict[str, Any]
    commands: list[str]
    conclusion: str = ''

    @property
    def name(self) -> str:
        if self.kind == 'runs':
            return ', '.join(member.name for member in self.members)
        return self.folder.resolve().name


def read_study(folders: list[Path]) -> Study:
    """Reads the study that folders hold: one run, one sweep, or several runs.

    Raises:
      ValueError: a folder holds neither, or a file in it is damaged; a file of a
        sweep's member may be.
    """
    if not folders:
        raise ValueError('no folder was given; name that of a run or of a sweep')
    for folder in folders:
        kind = _kind(folder)
        if kind == 'sweep' and len(folders) > 1:
            raise ValueError(
                f'{folder} holds a sweep and {len(folders)} folders were given; '
                'report a sweep alone, or name folders of runs only'
            )
    if kind == 'sweep':
        return _sweep(folders[0])
    return _run(folders[0]) if len(folders) == 1 else _runs(folders)


def member_label(field: str) -> str:
    """Returns what people call a field: `width of stem` for network.width.stem."""
    _, name, *entry = field.split('.')
    name = name.replace('_', ' ')
    return f'{name} of {".".join(entry)}' if entry else name


def _kind(folder: Path) -> str:
    for kind, file in (('sweep', 'sweep.json'), ('run', 'config.json')):
        if (folder / file).is_file():
            return kind
    what = 'has neither' if folder.is_dir() else 'is no folder'
    raise ValueError(
        f'{folder} {what}; expected the folder of a run (config.json) or of a sweep '
        '(sweep.json); name the --workdir of train or sweep'
    )


def _run(folder: Path) -> Study:
    member = _member(folder.resolve().name, folder, {})
    config = member.about.get('config', {})
    return Study('run', folder, [member], {}, config, member.commands)


def _sweep(folder: Path) -> Study:
    sweep = read_sweep(folder)
    if not sweep.members:
        raise ValueError(f'{folder / "sweep.json"} names no members; start the sweep')
    filters = _filters(folder / 'table.csv')
    found = []
    for name in sweep.members:
        config, home = sweep.config_of(name), sweep.workdir(name)
        fields = {
            short: value_at(config, field) for field, short in sweep.varied.items()
        }
        found.append(_member_or_damage(name, home, fields, filters.get(name)))
    fields = {short: member_label(field) for field, short in sweep.varied.items()}
    found, fields = _condensed(found, fields)
    verdict = folder / 'verdict.md'
    return Study(
        'sweep',
        folder,
        found,
        fields,
        sweep.config,
        _lines(folder / 'commands.log'),
        verdict.read_text().strip() if verdict.exists() else '',
    )


def _condensed(
    found: list[Member], fields: dict[str, str]
) -> tuple[list[Member], dict[str, str]]:
    """Puts one field, `change`, in the place of those that only some members change."""
    rows = [{n: cell_value(value) for n, value in m.fields.items()} for m in found]
    common = usual(rows, fields)
    if not common:
        return found, fields
    found = [
        dataclasses.replace(m, fields=m.fields | {CHANGE: change(row, common, fields)})
        for m, row in zip(found, rows, strict=True)
    ]
    kept = {name: words for name, words in fields.items() if name not in common}
    return found, kept | {CHANGE: 'change'}


def _runs(folders: list[Path]) -> Study:
    names = _names(folders)
    found = [_member(n, f, {}) for n, f in zip(names, folders, strict=True)]
    configs = [flatten(member.about.get('config', {})) for member in found]
    dotted = [
        name
        for name in dict.fromkeys(name for config in configs for name in config)
        if any(config.get(name) != configs[0].get(name) for config in configs)
    ]
    short = short_names(dotted)
    found = [
        dataclasses.replace(member, fields={short[n]: config.get(n) for n in dotted})
        for member, config in zip(found, configs, strict=True)
    ]
    commands = [line for member in found for line in member.commands]
    config = found[0].about.get('config', {})
    fields = {short[name]: member_label(name) for name in dotted}
    return Study('runs', folders[0], found, fields, config, commands)


def _names(folders: list[Path]) -> list[str]:
    """Returns the shortest ends of paths that tell the folders apart."""
    parts = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        names = ['/'.join(one[-count:]) for one in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError('a folder was given twice; name each run once')


def _member_or_damage(
    name: str, folder: Path, fields: dict[str, Any], filters: int | None
) -> Member:
    try:
        return _member(name, folder, fields, filters)
    except ValueError as error:
        return Member(name, folder, fields, filters, error=str(error), is_damaged=True)


def _member(
    name: str, folder: Path, fields: dict[str, Any], filters: int | None = None
) -> Member:
    error = folder / 'error.txt'
    run = Run(folder)
    return Member(
        name=name,
        folder=folder,
        fields=fields,
        filters=filters,
        about=run.identity if is_run(folder) else {},
        outcome=run.outcome or {},
        error=error.read_text().strip() if error.exists() else None,
        records=_records(folder),
        replays={
            path.stem.removeprefix('replay-').replace('-', ' to '): _replay(path)
            for path in sorted(folder.glob('replay-*-*.jsonl'), key=_span)
        },
        lineage=run.lineage,
        commands=_lines(folder / 'commands.log'),
    )


def _filters(path: Path) -> dict[str, int]:
    """Reads the widths of the members' last grids from the table of a sweep."""
    if not path.exists():
        return {}
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    return {row['member']: int(row['filters']) for row in rows if row.get('filters')}


def _records(folder: Path) -> list[Record]:
    try:
        return read_records(folder)
    except ValueError as error:
        raise ValueError(f'{folder}: {error}') from error


def _span(path: Path) -> list[int]:
    return [int(step) for step in re.findall(r'\d+', path.stem)]


def _replay(path: Path) -> list[Record]:
    records = []
    for line in path.read_text().splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            # A replay that goes on, or was stopped, ends in half a line.
            break
    return records


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
