"""The report as one page of HTML: words and tables here, figures by its scripts."""

import html
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from inception_jax.config.overrides import flatten
from inception_jax.plots.grouping import CHANGE, Row, ordered, value_text
from inception_jax.plots.palette import VERDICTS
from inception_jax.reports.markdown import to_html
from inception_jax.reports.page_data import page_data
from inception_jax.reports.sentences import lineage, summary
from inception_jax.reports.study import Study
from inception_jax.reports.table import COLUMNS, filled
from inception_jax.runtime.version import VERSION
from inception_jax.stability.verdicts import ORDER

SCRIPTS = ('figures', 'curves', 'map', 'members', 'blocks', 'main')
KINDS = {'run': 'Run', 'sweep': 'Sweep', 'runs': 'Runs side by side'}
DIGITS = {
    'trend': '+.1f',
    'cross_entropy': '.3f',
    'train_cross_entropy': '.3f',
    'dead_channels': '.1f',
}


def page(study: Study, table: Sequence[Row], *, figures: str = 'figures') -> str:
    """Returns the whole page, with its styles, scripts and values inside.

    `figures` is the folder beside it that its figures for papers are in.
    """
    return _fill(
        'page.html',
        title=html.escape(f'{study.name}: {KINDS[study.kind].lower()}'),
        kind=KINDS[study.kind],
        name=html.escape(study.name),
        summary=html.escape(summary(study, table)),
        chips=''.join(_chips(table)),
        facts=''.join(_facts(study)),
        sections='\n'.join(_sections(study, table)),
        figures=html.escape(figures),
        version=VERSION,
        style=_text('page.css'),
        data=page_data(study, table),
        plotly=get_plotlyjs(),
        script='\n'.join(_text(f'{name}.js') for name in SCRIPTS),
    )


def _sections(study: Study, table: Sequence[Row]):
    recorded = any(member.records for member in study.members)
    diagnosed = any(
        record['split'] == 'diagnostics'
        for member in study.members
        for records in (member.records, *member.replays.values())
        for record in records
    )
    family = lineage(study)
    if study.conclusion:
        yield _conclusion(study)
    if study.kind == 'sweep':
        yield _text('map.html')
    if family:
        yield _fill('lineage.html', lineage=html.escape(family))
    if recorded:
        layout = 'one' if study.kind == 'sweep' else 'two'
        yield _fill('curves.html', note=_note(study), layout=layout)
    else:
        yield '<section><h2>Curves</h2><p class="note">No records yet.</p></section>'
    if study.kind != 'run':
        yield _members(study, table)
    if diagnosed or study.kind != 'run':
        yield _text('blocks.html')
    yield _made(study)


def _conclusion(study: Study) -> str:
    """Returns the verdict of an experiment, which is Markdown with a title."""
    text = study.conclusion
    title, _, rest = text.partition('\n') if text.startswith('#') else ('', '', text)
    return _fill(
        'conclusion.html',
        title=html.escape(title.lstrip('# ') or 'Verdict of the experiment'),
        text=to_html(rest.strip(), study.folder),
    )


def _note(study: Study) -> str:
    picks = ' Choose a line to see its blocks.' if study.kind != 'run' else ''
    return (
        'Training values are means over the steps since the last record; evaluation is '
        f'with averaged parameters.{picks} <span class="drag">Drag to enlarge, '
        'double-click to go back.</span>'
    )


def _chips(table: Sequence[Row]):
    verdicts = [row['verdict'] for row in table]
    for verdict in ORDER:
        if verdict in verdicts:
            many = '' if len(table) == 1 else f'{verdicts.count(verdict)} '
            yield f'<li>{_badge(verdict, f"{many}{verdict}")}</li>'


def _facts(study: Study):
    about = next((m.about for m in study.members if m.about), {})
    data = study.config.get('data', {})
    facts = {
        'Network': f'{about["network"]} ({about["fingerprint"]})' if about else None,
        'Data': data.get('source'),
        'Folder': str(study.folder) if study.kind != 'runs' else None,
        'Trained with': f'inception_jax {about["inception_jax"]}' if about else None,
    }
    for name, value in facts.items():
        if value:
            yield f'<dt>{name}</dt><dd>{html.escape(str(value))}</dd>'


def _members(study: Study, table: Sequence[Row]) -> str:
    columns = filled(table)
    verdicts = [v for v in ORDER if any(row['verdict'] == v for row in table)]
    numeric = {name for name in (*study.fields, *columns) if _is_numeric(table, name)}
    return _fill(
        'members.html',
        title='Members' if study.kind == 'sweep' else 'Runs',
        verdicts=''.join(f'<option>{verdict}</option>' for verdict in verdicts),
        head=''.join(_head(study, columns, numeric)),
        body='\n'.join(
            _line(number, row, list(study.fields), columns, numeric)
            for number, row in enumerate(table)
        ),
    )


def _head(study: Study, columns: Sequence[str], numeric: set[str]):
    names = {'member': ('member' if study.kind == 'sweep' else 'run', '')}
    names |= {field: (label, '') for field, label in study.fields.items()}
    names |= {name: (COLUMNS[name].label, COLUMNS[name].unit) for name in columns}
    for name, (label, unit) in names.items():
        side = ' class="number"' if name in numeric else ''
        unit = f'<span class="unit">, {unit}</span>' if unit else ''
        yield (
            f'<th scope="col" data-column="{html.escape(name)}"{side}>'
            f'<button type="button">{html.escape(label)}{unit}</button></th>'
        )


def _line(
    number: int,
    row: Row,
    fields: Sequence[str],
    columns: Sequence[str],
    numeric: set[str],
) -> str:
    cells = [_cell(row['member'], _button(row['member']))]
    cells += [_cell(row[f], _shown(f, row[f]), _kind(f, numeric)) for f in fields]
    for name in columns:
        value = row[name]
        shown = _badge(value, value) if name == 'verdict' else _number(name, value)
        cells.append(_cell(value, shown, _kind(name, numeric)))
    return (
        f'<tr data-member="{number}" data-verdict="{row["verdict"]}">'
        f'{"".join(cells)}</tr>'
    )


def _shown(field: str, value: Any) -> str:
    is_none = field == CHANGE and value is None
    return '' if is_none else html.escape(value_text(value))


def _kind(name: str, numeric: set[str]) -> str:
    return 'number' if name in numeric else 'words' if name == CHANGE else ''


def _cell(value: Any, shown: str, kind: str = '') -> str:
    side = f' class="{kind}"' if kind else ''
    raw = '' if value is None else html.escape(str(value))
    return f'<td data-value="{raw}"{side}>{shown}</td>'


def _button(name: str) -> str:
    parts = html.escape(name).replace(',', ',<wbr>')
    return f'<button type="button">{parts}</button>'


def _number(name: str, value: Any) -> str:
    if value is None or isinstance(value, str):
        return html.escape(value or '')
    if isinstance(value, int):
        return f'{value:,}'
    return format(value * COLUMNS[name].factor, DIGITS.get(name, '.2f'))


def _is_numeric(table: Sequence[Row], name: str) -> bool:
    values = [
        value for value in ordered(row[name] for row in table) if value is not None
    ]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _badge(verdict: str, text: str) -> str:
    fill, colour = VERDICTS[verdict]
    style = '' if fill == 'none' else f' style="background:{fill};color:{colour}"'
    return f'<span class="verdict {verdict}"{style}>{html.escape(text)}</span>'


def _made(study: Study) -> str:
    commands = '\n'.join(study.commands) or 'No commands were recorded.'
    values = {name: json.dumps(value) for name, value in flatten(study.config).items()}
    width = max(map(len, values), default=0)
    base = {'run': 'Config', 'sweep': 'Config that the members vary'}
    return _fill(
        'made.html',
        commands=html.escape(commands),
        config_title=base.get(
            study.kind, f'Config of {html.escape(study.members[0].name)}'
        ),
        config=html.escape('\n'.join(f'{n:<{width}}  {v}' for n, v in values.items())),
    )


def _fill(file: str, /, **values: str) -> str:
    return Template(_text(file)).substitute(values)


@cache
def _text(name: str) -> str:
    return (resources.files('inception_jax.reports') / 'template' / name).read_text(
        'utf-8'
    )
