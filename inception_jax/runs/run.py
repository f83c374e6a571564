"""A run on disk as a value: config, records, verdict, lineage and checkpoints."""

import base64
import dataclasses
import html
import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from inception_jax.data.labels import class_names_digest, parse_class_names
from inception_jax.runs.checksum_file import check_content
from inception_jax.runs.records import SPLITS, Record, read_records, record_columns
from inception_jax.runs.workdir import (
    CLASSES,
    CONFIG,
    LINEAGE,
    VERDICT,
    checkpoint_steps,
    is_sweep,
)
from inception_jax.runtime import choices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.json_files import misfit, parse_json_of, read_json
from inception_jax.runtime.messages import printable
from inception_jax.runtime.paths import local_path
from inception_jax.stability.verdicts import FINAL

if TYPE_CHECKING:
    import numpy as np

    from inception_jax.plots.curves import Figure
    from inception_jax.stability.verdicts import Verdict

# The fields that the JSON files of a run have in all versions, and those that they may
# have.
KEYS = {
    CONFIG: {
        'inception_jax': str,
        'network': str,
        'fingerprint': str,
        'config': Mapping[str, Mapping],
    },
    VERDICT: {'verdict': Literal[FINAL], 'steps_done': int, 'steps': int},
    LINEAGE: {
        'parent': str,
        'step': int,
        'changes': Mapping[str, list[Any]],
        'lineage': Mapping | None,
    },
}
OPTIONAL = {
    CONFIG: {
        'data': Mapping[str, Mapping],
        'replicas': int,
        'weights': str | None,
        'settings': Mapping,
    },
    VERDICT: {
        'step': int | None,
        'trend': float | None,
        'layer': str | None,
        'onset': int | None,
        'death': int | None,
        'confirmed': int | None,
        'ended': bool,
        'network': str,
        'classes': int,
        'fingerprint': str,
        'last_evaluation': Mapping | None,
    },
    LINEAGE: {},
}

# The numbers of a config from which a verdict of an older version is judged anew.
THRESHOLDS = {'dead_share': float, 'dying_share': float, 'window': int}


def run(path: str | Path) -> 'Run':
    """Returns the run in a folder, the `--workdir` of train.

    A run that is still training can be read: each attribute reads its file anew.

    >>> run('no_such_folder')
    Traceback (most recent call last):
    ValueError: no_such_folder does not exist; check the path, or start a run with train

    Raises:
      ValueError: the folder holds no run, or its config.json is damaged.
    """
    value = Run(local_path(path))
    _ = value.identity
    return value


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A run on disk. An attribute reads its file when it is asked for.

    `print(run)` shows the result of the run; a notebook shows its curves as well. Each
    attribute raises ValueError if its file is damaged.

    >>> import inception_jax as ij, pandas  # doctest: +SKIP
    >>> run = ij.run('runs/quickstart')  # doctest: +SKIP
    >>> pandas.DataFrame(run.records('train')).plot('step', 'loss')  # doctest: +SKIP
    """

    workdir: Path

    def __fspath__(self) -> str:
        """A run stands for its folder wherever a path is expected."""
        return str(self.workdir)

    @property
    def identity(self) -> dict[str, Any]:
        """The content of config.json: the config and what else a resume must match."""
        if is_sweep(self.workdir):
            raise ValueError(
                f'{self.workdir} holds a sweep; name the folder of one of its members, '
                f'in {self.workdir / "members"}'
            )
        identity = self._read_json(CONFIG)
        if identity is None:
            problem = 'holds no run' if self.workdir.exists() else 'does not exist'
            raise ValueError(
                f'{self.workdir} {problem}; check the path, or start a run with train'
            )
        return identity

    @property
    def config(self) -> dict[str, Any]:
        """The config of the run: fields by section."""
        return self.identity['config']

    @property
    def network(self) -> str:
        """The name of the network."""
        return self.identity['network']

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes in the order of the labels.

        None for a run of an older version, which did not write them.
        """
        path = self.workdir / CLASSES
        try:
            names = parse_class_names(read_json(path))
            self._check_class_names(names)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ValueError(
                f'{path} is damaged; remove it and resume the run with train, which '
                'writes it again'
            ) from error
        return names

    def _check_class_names(self, names: tuple[str, ...]) -> None:
        """Raises ValueError unless the names have the digest in config.json."""
        for split in self.identity.get('data', {}).values():
            digest = split.get('class_names')
            if digest not in (None, class_names_digest(names)):
                raise ValueError('the names are not those of the run')

    def records(self, split: str = 'train') -> 'dict[str, np.ndarray]':
        """Returns the records of a split as a table: equally long columns by name.

        `pandas.DataFrame(run.records('train'))` is a data frame. A number that was not
        finite is nan. Errors are in percent, `cross_entropy` and `loss` in nats.

        Args:
          split: `train`, `evaluation` or `diagnostics`. A train record holds means over
            the steps since the record before it. Diagnostics have one row per step and
            block, and `block` names the block.

        Raises:
          ValueError: there is no such split, or metrics.jsonl is damaged.
        """
        choices.check('split', split, SPLITS)
        return record_columns(read_records(self.workdir, split))

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The content of verdict.json; None while the run trains or after a kill.

        A verdict of an older version has no dates of silence. It is judged anew from
        the train records.
        """
        outcome = self._read_json(VERDICT)
        if outcome is None or 'onset' in outcome or outcome['verdict'] == 'diverged':
            return outcome
        return outcome | self._judged_anew(outcome)

    @property
    def readable_outcome(self) -> dict[str, Any] | None:
        """The outcome; None if its file is damaged, since a resumed run rewrites it."""
        try:
            return self.outcome
        except ValueError:
            return None

    @property
    def verdict(self) -> 'Verdict | None':
        """The verdict on the stability of the run; None without an outcome."""
        from inception_jax.stability.verdicts import Verdict

        if (outcome := self.outcome) is None:
            return None
        fields = (field.name for field in dataclasses.fields(Verdict))
        return Verdict(**{name: outcome.get(name) for name in fields})

    def _judged_anew(self, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a verdict from the train records; {} if they lack a share."""
        from inception_jax.stability.verdicts import Thresholds, judge_records

        section = self.config.get('verdicts', {})
        numbers = {name: section.get(name) for name in THRESHOLDS}
        records = read_records(self.workdir, 'train')
        shares = [record.get('dead_channels') for record in records]
        if misfit(numbers, THRESHOLDS) or None in shares:
            return {}
        start = fork_step(self.workdir) or 0
        verdict = judge_records(records, Thresholds(**numbers), start=start).verdict
        layer = outcome.get('layer') if verdict.verdict != 'alive' else None
        return dataclasses.asdict(dataclasses.replace(verdict, layer=layer))

    @property
    def lineage(self) -> dict[str, Any] | None:
        """The content of lineage.json: parent and step of a fork, None otherwise."""
        return self._read_json(LINEAGE)

    @property
    def checkpoints(self) -> list[int]:
        """The steps that have a checkpoint, in order."""
        return checkpoint_steps(self.workdir / 'checkpoints')

    def curves(self) -> 'Figure':
        """Returns a matplotlib figure: top-1 error and cross-entropy by epoch."""
        from inception_jax.plots.curves import run_curves

        return run_curves(read_records(self.workdir), title=self.network)

    def __repr__(self) -> str:
        steps, verdict = self._progress()
        noun = 'step' if steps.split()[-1] == '1' else 'steps'
        return f'Run({str(self.workdir)!r}, {self.network}, {verdict}, {steps} {noun})'

    def __str__(self) -> str:
        steps, verdict = self._progress()
        lines = {'run': self.workdir, 'network': self.network, 'steps': steps}
        classes = (self.readable_outcome or {}).get('classes')
        lines |= error_lines(read_records(self.workdir, 'evaluation'), classes)
        lines['verdict'] = verdict
        return labelled(lines)

    def _repr_html_(self) -> str:
        image = io.BytesIO()
        self.curves().savefig(image, format='png', dpi=100)
        data = base64.b64encode(image.getvalue()).decode()
        return (
            f'<pre>{html.escape(str(self))}</pre>'
            f'<img src="data:image/png;base64,{data}" alt="curves of the run">'
        )

    def _progress(self) -> tuple[str, str]:
        """Returns the steps made and the verdict in words."""
        if (outcome := self.readable_outcome) is None:
            records = read_records(self.workdir)
            return f'{records[-1]["step"] if records else 0:,}', 'no verdict yet'
        steps = f'{outcome["steps_done"]:,} of {outcome["steps"]:,}'
        return steps, f'{self.verdict}{"" if is_finished(outcome) else " so far"}'

    def _read_json(self, name: str) -> dict[str, Any] | None:
        """Returns the content of a JSON file of the run, None if there is none."""
        path = self.workdir / name
        try:
            file = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        content = parse_json_of(path, file)
        reason = _unfit(name, content)
        if reason:
            raise ValueError(
                f'{path} is not a file of a run ({reason}); restore the file from a '
                'copy'
            )
        if name != CONFIG:
            check_content(self.workdir, name, file)
        return content


def _unfit(name: str, content: Any) -> str | None:
    """Returns the reason why JSON is not that of the named file, None if it may be."""
    if reason := misfit(content, KEYS[name], OPTIONAL[name]):
        return reason
    checked = KEYS[name] | OPTIONAL[name]
    return _out_of_range({n: x for n, x in content.items() if n in checked})


def _out_of_range(content: Mapping[str, Any]) -> str | None:
    """Returns which number of a verdict or a lineage cannot be, None if all can."""
    for name in ('steps_done', 'step', 'steps', 'classes'):
        least = 1 if name in ('steps', 'classes') else 0
        if (number := content.get(name)) is not None and number < least:
            return f'{name} is {number}, expected {least} or more'
    done, steps = content.get('steps_done', 0), content.get('steps', math.inf)
    if done > steps:
        return f'steps_done is {done:,} of {counted(steps, "step")}'
    for change in content.get('changes', {}).values():
        if len(change) != 2:
            return f'a change is {change!r:.60}, expected the old and the new value'
    lineage = content.get('lineage')
    return lineage and _unfit(LINEAGE, lineage)


def labelled(lines: Mapping[str, Any]) -> str:
    """Returns lines of a label and a value, in two columns."""
    return '\n'.join(f'{label:<12}{printable(value)}' for label, value in lines.items())


def shows_top_5(classes: int | None) -> bool:
    """Whether the top-5 error of so many classes is worth showing: five have none."""
    return classes is None or classes > 5


def error_lines(evaluations: list[Record], classes: int | None) -> dict[str, str]:
    """Returns the errors of the last and of the best evaluation in words."""
    if not evaluations:
        return {}

    def error(record: Record) -> float:
        number = record['top_1_error']
        return math.inf if number is None else number

    best = min(evaluations, key=error)
    return {
        'last': _error_text(evaluations[-1], classes),
        'best': _error_text(best, classes),
    }


def _error_text(record: Record, classes: int | None) -> str:
    errors = [
        f'top-{k} error {_number(record[f"top_{k}_error"], ".2f", " %")}'
        for k in ((1, 5) if shows_top_5(classes) else (1,))
    ]
    entropy = _number(record['cross_entropy'], '.3f')
    return ', '.join([*errors, f'cross-entropy {entropy}, epoch {record["epoch"]:.1f}'])


def _number(number: float | None, form: str, unit: str = '') -> str:
    return 'not finite' if number is None else f'{number:{form}}{unit}'


def fork_step(folder: Path) -> int | None:
    """Returns the step at which a forked run begins; None for a run that is no fork."""
    lineage = Run(folder).lineage
    return lineage['step'] if lineage else None


def steps_done(folder: Path) -> int:
    """Returns the number of steps in verdict.json, 0 without a readable one."""
    outcome = Run(folder).readable_outcome
    return outcome['steps_done'] if outcome else 0


def is_finished(outcome: Mapping[str, Any]) -> bool:
    """Whether a run made all its steps or was ended by its verdict."""
    return is_ended(outcome) or outcome['steps_done'] >= outcome['steps']


def is_ended(outcome: Mapping[str, Any]) -> bool:
    """Whether the verdict ended the run before its last step."""
    # Files of older versions have no `ended`: a run ended when it diverged.
    return outcome.get('ended', outcome['verdict'] == 'diverged')
