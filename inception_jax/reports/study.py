"""Reads the files of a run, of a sweep or of several runs into one value, a study."""

import csv
import dataclasses
import re
from pathlib import Path
from typing import Any

from inception_jax.config.overrides import flatten, value_at
from inception_jax.lab.grid import short_names
from inception_jax.lab.sweep_folder import read_sweep
from inception_jax.lab.table import cell_value
from inception_jax.plots.grouping import CHANGE, change_text, field_label, usual_values
from inception_jax.plots.series import Curve, curve_series
from inception_jax.runs.records import Record, read_record_file, read_records
from inception_jax.runs.run import Run, is_finished, shows_top_5
from inception_jax.runs.workdir import is_run
from inception_jax.stability.verdicts import LOST

Lineage = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Member:
    """A run of a study. The content of a file that does not exist yet is empty or None.

    Attributes:
      name: the name of the run in the study.
      folder: the folder of the run.
      fields: the config values that differ between the members, by short name.
      filters: the channels of the final feature map.
      identity: the content of config.json.
      outcome: the content of verdict.json.
      error: the content of error.txt, or which file of the run is damaged.
      records: the records of metrics.jsonl.
      replays: the diagnostics of every step, by the interval of steps.
      newest_replay: the interval of the replay that was written last.
      lineage: the content of lineage.json; None for a run that is not a fork.
      commands: the lines of commands.log.
      is_damaged: whether a file is damaged. Then nothing else is read.
    """

    name: str
    folder: Path
    fields: dict[str, Any]
    filters: int | None = None
    identity: dict[str, Any] = dataclasses.field(default_factory=dict)
    outcome: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: str | None = None
    records: list[Record] = dataclasses.field(default_factory=list)
    replays: dict[str, list[Record]] = dataclasses.field(default_factory=dict)
    newest_replay: str | None = None
    lineage: Lineage | None = None
    commands: list[str] = dataclasses.field(default_factory=list)
    is_damaged: bool = False

    @property
    def verdict(self) -> str:
        """The final verdict; `failed` or `unfinished` if there is none."""
        if self.outcome and is_finished(self.outcome):
            return self.outcome['verdict']
        return 'unfinished' if self.error is None else 'failed'

    @property
    def shows_top_5(self) -> bool:
        """Whether the run has so many classes that its top-5 error is shown."""
        return shows_top_5(self.outcome.get('classes'))

    @property
    def step(self) -> int | None:
        """The step since which the verdict holds."""
        return self.outcome.get('step')

    @property
    def lost_at(self) -> int | None:
        """The step since which a run is lost; None if it is before the run's fork."""
        is_lost = self.verdict in LOST and not self.is_from_parent
        return self.step if is_lost else None

    @property
    def is_from_parent(self) -> bool:
        """Whether the run is a fork whose verdict holds since before the fork."""
        origin = self.lineage['step'] if self.lineage else 0
        return self.step is not None and self.step < origin

    @property
    def steps_done(self) -> int:
        last = self.records[-1]['step'] if self.records else 0
        return self.outcome.get('steps_done', last)


@dataclasses.dataclass(frozen=True)
class Study:
    """The members of a `run` (one), a `sweep` or several `runs`, and their config.

    Attributes:
      kind: `run`, `sweep` or `runs`.
      folder: the folder of the run or the sweep, or of the first of several runs.
      members: the runs.
      fields: labels of the fields in which the members differ, by short name. One
        field, `change`, describes all fields that only some members of a sweep change.
      config: the config of the run or of the first run; of a sweep, the config before
        the changes of its members.
      commands: the commands that made the study, with their times.
      conclusion: the verdict of an experiment in Markdown, '' without one.
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

    def curves(self, member: Member) -> dict[tuple[str, str], Curve]:
        """Returns the curves of a member by split and quantity.

        Beside other runs, the curves of a fork start where it left its parent.
        """
        is_fork = member.lineage and self.kind == 'runs'
        origin = member.lineage['step'] if is_fork else 0
        curves = curve_series(member.records, origin=origin, lost_at=member.lost_at)
        hidden = () if member.shows_top_5 else ('top_5_error',)
        return {key: curve for key, curve in curves.items() if key[1] not in hidden}


def read_study(folders: list[Path]) -> Study:
    """Reads one run, one sweep, or several runs.

    Raises:
      ValueError: a folder holds neither a run nor a sweep, or a file in it is damaged.
        A damaged file of a sweep's member is no error: this member has failed.
    """
    if not folders:
        raise ValueError('no folder was given; name the folder of a run or a sweep')
    for folder in folders:
        kind = _kind(folder)
        if kind == 'sweep' and len(folders) > 1:
            raise ValueError(
                f'{folder} holds a sweep and {len(folders)} folders were given; '
                'report a sweep alone, or name folders of runs only'
            )
    if kind == 'sweep':
        return _read_sweep_study(folders[0])
    return _read_run(folders[0]) if len(folders) == 1 else _read_runs(folders)


def _kind(folder: Path) -> str:
    for kind, file in (('sweep', 'sweep.json'), ('run', 'config.json')):
        if (folder / file).is_file():
            return kind
    problem = 'holds no run and no sweep' if folder.exists() else 'does not exist'
    raise ValueError(
        f'{folder} {problem}; expected the folder of a run (config.json) or of a sweep '
        '(sweep.json), as train and sweep write it'
    )


def _read_run(folder: Path) -> Study:
    member = _read_member(folder.resolve().name, folder, {})
    config = member.identity.get('config', {})
    return Study('run', folder, [member], {}, config, member.commands)


def _read_sweep_study(folder: Path) -> Study:
    sweep = read_sweep(folder)
    if not sweep.members:
        raise ValueError(f'{folder / "sweep.json"} names no members; start the sweep')
    filters = _read_filters(folder / 'table.csv')
    members = []
    for name in sweep.members:
        config = sweep.config_of(name)
        values = {
            short: value_at(config, field) for field, short in sweep.varied.items()
        }
        workdir = sweep.workdir(name)
        members.append(_read_sweep_member(name, workdir, values, filters.get(name)))
    labels = {short: field_label(field) for field, short in sweep.varied.items()}
    members, labels = _merge_changes(members, labels)
    verdict = folder / 'verdict.md'
    return Study(
        'sweep',
        folder,
        members,
        labels,
        sweep.config,
        _read_lines(folder / 'commands.log'),
        _read_text(verdict).strip() if verdict.exists() else '',
    )


def _merge_changes(
    members: list[Member], fields: dict[str, str]
) -> tuple[list[Member], dict[str, str]]:
    """Replaces the fields that only some members change by one field, `change`."""
    rows = [{n: cell_value(value) for n, value in m.fields.items()} for m in members]
    usual = usual_values(rows, fields)
    if not usual:
        return members, fields
    members = [
        dataclasses.replace(
            member, fields=member.fields | {CHANGE: change_text(row, usual, fields)}
        )
        for member, row in zip(members, rows, strict=True)
    ]
    kept = {name: label for name, label in fields.items() if name not in usual}
    return members, kept | {CHANGE: 'change'}


def _read_runs(folders: list[Path]) -> Study:
    names = _distinct_names(folders)
    members = [_read_member(n, f, {}) for n, f in zip(names, folders, strict=True)]
    configs = [flatten(member.identity.get('config', {})) for member in members]
    differing = [
        name
        for name in dict.fromkeys(name for config in configs for name in config)
        if any(config.get(name) != configs[0].get(name) for config in configs)
    ]
    short = short_names(differing)
    members = [
        dataclasses.replace(m, fields={short[n]: config.get(n) for n in differing})
        for m, config in zip(members, configs, strict=True)
    ]
    commands = [line for member in members for line in member.commands]
    config = members[0].identity.get('config', {})
    labels = {short[name]: field_label(name) for name in differing}
    return Study('runs', folders[0], members, labels, config, commands)


def _distinct_names(folders: list[Path]) -> list[str]:
    """Returns the shortest ends of the paths that are distinct."""
    paths = [folder.resolve().parts for folder in folders]
    for count in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(parts[-count:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise ValueError('a folder was given twice; name each run once')


def _read_sweep_member(
    name: str, folder: Path, fields: dict[str, Any], filters: int | None
) -> Member:
    try:
        return _read_member(name, folder, fields, filters)
    except ValueError as error:
        return Member(name, folder, fields, filters, error=str(error), is_damaged=True)


def _read_member(
    name: str, folder: Path, fields: dict[str, Any], filters: int | None = None
) -> Member:
    run, error = Run(folder), folder / 'error.txt'
    records = read_records(folder)
    replays = sorted(folder.glob('replay-*-*.jsonl'), key=_interval)
    newest = max(replays, key=lambda path: path.stat().st_mtime_ns, default=None)
    return Member(
        name=name,
        folder=folder,
        fields=fields,
        filters=filters,
        identity=run.identity if is_run(folder) else {},
        outcome=run.outcome or {},
        error=_read_text(error).strip() if error.exists() else None,
        records=records,
        replays={_interval_text(path): read_record_file(path) for path in replays},
        newest_replay=_interval_text(newest) if newest else None,
        lineage=run.lineage,
        commands=_read_lines(folder / 'commands.log'),
    )


def _read_filters(path: Path) -> dict[str, int]:
    """Reads the channels of the members' final feature maps from a sweep's table."""
    if not path.exists():
        return {}
    try:
        with path.open(newline='', encoding='utf-8') as file:
            rows = [row for row in csv.DictReader(file) if row.get('filters')]
        return {row['member']: int(row['filters']) for row in rows}
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f'{path} is not the table of a sweep ({error}); start the sweep again, '
            'which writes the table'
        ) from None


def _interval(path: Path) -> list[int]:
    return [int(step) for step in re.findall(r'\d+', path.stem)]


def _interval_text(path: Path) -> str:
    return path.stem.removeprefix('replay-').replace('-', ' to ')


def _read_lines(path: Path) -> list[str]:
    return _read_text(path).splitlines() if path.exists() else []


def _read_text(path: Path) -> str:
    """Reads a text file that may hold any bytes."""
    return path.read_bytes().decode('utf-8', 'replace')
