"""The HTML page of a report: texts, tables, and scripts that draw the figures."""

import html
import json
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from inception_jax.config.overrides import flatten
from inception_jax.plots.grouping import CHANGE, Row, value_text
from inception_jax.plots.palette import VERDICT_COLOURS
from inception_jax.reports.markdown import markdown_to_html
from inception_jax.reports.page_data import encode_page_data
from inception_jax.reports.sentences import lineage_tree, study_summary
from inception_jax.reports.study import Study
from inception_jax.reports.table import COLUMNS, filled_columns
from inception_jax.runtime.version import VERSION
from inception_jax.stability.verdicts import ORDER

SCRIPTS = ('figures', 'curves', 'map', 'members', 'blocks', 'main')
KINDS = {'run': 'Run', 'sweep': 'Sweep', 'runs': 'Runs side by side'}
FORMATS = {
    'trend': '+.1f',
    'cross_entropy': '.3f',
    'train_cross_entropy': '.3f',
    'dead_channels': '.1f',
}


def study_page(study: Study, table: Sequence[Row], *, figures: str = 'figures') -> str:
    """Returns the whole page, including its styles, scripts and values.

    `figures` is the name of the folder beside the page with the figures for papers.
    """
    return _fill(
        'page.html',
        title=html.escape(f'{study.name}: {KINDS[study.kind].lower()}'),
        kind=KINDS[study.kind],
        name=html.escape(study.name),
        summary=html.escape(study_summary(study, table)),
        chips=''.join(_chips(table)),
        facts=''.join(_facts(study)),
        sections='\n'.join(_sections(study, table)),
        figures=html.escape(figures),
        version=VERSION,
        style=_template('page.css'),
        data=encode_page_data(study, table),
        plotly=get_plotlyjs(),
        script='\n'.join(_template(f'{name}.js') for name in SCRIPTS),
    )


def _sections(study: Study, table: Sequence[Row]) -> Iterator[str]:
    has_records = any(member.records for member in study.members)
    has_diagnostics = any(
        record['split'] == 'diagnostics'
        for member in study.members
        for records in (member.records, *member.replays.values())
        for record in records
    )
    tree = lineage_tree(study)
    if study.conclusion:
        yield _conclusion(study)
    if study.kind == 'sweep':
        yield _template('map.html')
    if tree:
        yield _fill('lineage.html', lineage=html.escape(tree))
    if has_records:
        layout = 'one' if study.kind == 'sweep' else 'two'
        yield _fill('curves.html', note=_curves_note(study), layout=layout)
    else:
        yield '<section><h2>Curves</h2><p class="note">No records yet.</p></section>'
    if study.kind != 'run':
        yield _members(study, table)
    if has_diagnostics or study.kind != 'run':
        yield _template('blocks.html')
    yield _commands_and_config(study)


def _conclusion(study: Study) -> str:
    """Returns the verdict of an experiment; its Markdown may begin with a title."""
    markdown = study.conclusion
    has_title = markdown.startswith('#')
    title, _, body = markdown.partition('\n') if has_title else ('', '', markdown)
    return _fill(
        'conclusion.html',
        title=html.escape(title.lstrip('# ') or 'Verdict of the experiment'),
        text=markdown_to_html(body.strip(), study.folder),
    )


def _curves_note(study: Study) -> str:
    hint = ' Select a line to see its blocks.' if study.kind != 'run' else ''
    return (
        'Training values are means over the steps since the last record; evaluation '
        f'uses the EMA weights.{hint} <span class="drag">Drag to zoom, '
        'double-click to reset.</span>'
    )


def _chips(table: Sequence[Row]) -> Iterator[str]:
    verdicts = [row['verdict'] for row in table]
    for verdict in ORDER:
        if verdict in verdicts:
            count = '' if len(table) == 1 else f'{verdicts.count(verdict)} '
            yield f'<li>{_badge(verdict, f"{count}{verdict}")}</li>'


def _facts(study: Study) -> Iterator[str]:
    run = next((m.identity for m in study.members if m.identity), {})
    facts = {
        'Network': f'{run["network"]} ({run["fingerprint"]})' if run else None,
        'Data': study.config.get('data', {}).get('source'),
        'Folder': str(study.folder) if study.kind != 'runs' else None,
        'Trained with': f'inception_jax {run["inception_jax"]}' if run else None,
    }
    for title, fact in facts.items():
        if fact:
            yield f'<dt>{title}</dt><dd>{html.escape(str(fact))}</dd>'


def _members(study: Study, table: Sequence[Row]) -> str:
    columns = filled_columns(table)
    verdicts = [v for v in ORDER if any(row['verdict'] == v for row in table)]
    numeric = {name for name in (*study.fields, *columns) if _is_numeric(table, name)}
    return _fill(
        'members.html',
        title='Members' if study.kind == 'sweep' else 'Runs',
        verdicts=''.join(f'<option>{verdict}</option>' for verdict in verdicts),
        head=''.join(_head_cells(study, columns, numeric)),
        body='\n'.join(
            _table_row(index, row, list(study.fields), columns, numeric)
            for index, row in enumerate(table)
        ),
    )


def _head_cells(
    study: Study, columns: Sequence[str], numeric: set[str]
) -> Iterator[str]:
    titles = {'member': ('member' if study.kind == 'sweep' else 'run', '')}
    titles |= {field: (label, '') for field, label in study.fields.items()}
    titles |= {name: (COLUMNS[name].label, COLUMNS[name].unit) for name in columns}
    for name, (label, unit) in titles.items():
        style = ' class="number"' if name in numeric else ''
        unit = f'<span class="unit">, {unit}</span>' if unit else ''
        yield (
            f'<th scope="col" data-column="{html.escape(name)}"{style}>'
            f'<button type="button">{html.escape(label)}{unit}</button></th>'
        )


def _table_row(
    index: int,
    row: Row,
    fields: Sequence[str],
    columns: Sequence[str],
    numeric: set[str],
) -> str:
    contents = {'member': _member_button(row['member'])}
    contents |= {field: _field_value(field, row[field]) for field in fields}
    contents |= {name: _result(name, row[name]) for name in columns}
    cells = ''.join(
        _cell(row[name], content, _cell_class(name, numeric))
        for name, content in contents.items()
    )
    return f'<tr data-member="{index}" data-verdict="{row["verdict"]}">{cells}</tr>'


def _cell(value: Any, content: str, style: str) -> str:
    style = f' class="{style}"' if style else ''
    raw = '' if value is None else html.escape(str(value))
    return f'<td data-value="{raw}"{style}>{content}</td>'


def _cell_class(name: str, numeric: set[str]) -> str:
    return 'number' if name in numeric else 'words' if name == CHANGE else ''


def _member_button(name: str) -> str:
    parts = html.escape(name).replace(',', ',<wbr>')
    return f'<button type="button">{parts}</button>'


def _field_value(field: str, value: Any) -> str:
    is_unchanged = field == CHANGE and value is None
    return '' if is_unchanged else html.escape(value_text(value))


def _result(name: str, value: Any) -> str:
    if name == 'verdict':
        return _badge(value, value)
    if value is None or isinstance(value, str):
        return html.escape(value or '')
    if isinstance(value, int):
        return f'{value:,}'
    return format(value * COLUMNS[name].factor, FORMATS.get(name, '.2f'))


def _is_numeric(table: Sequence[Row], name: str) -> bool:
    values = [row[name] for row in table if row[name] is not None]
    return bool(values) and all(isinstance(value, int | float) for value in values)


def _badge(verdict: str, label: str) -> str:
    fill, colour = VERDICT_COLOURS[verdict]
    style = '' if fill == 'none' else f' style="background:{fill};color:{colour}"'
    return f'<span class="verdict {verdict}"{style}>{html.escape(label)}</span>'


def _commands_and_config(study: Study) -> str:
    commands = '\n'.join(study.commands) or 'No commands were recorded.'
    values = {name: json.dumps(value) for name, value in flatten(study.config).items()}
    width = max(map(len, values), default=0)
    title = {
        'run': 'Config of the run',
        'sweep': "Config before the members' changes",
        'runs': f'Config of {html.escape(study.members[0].name)}',
    }[study.kind]
    return _fill(
        'made.html',
        commands=html.escape(commands),
        config_title=title,
        config=html.escape('\n'.join(f'{n:<{width}}  {v}' for n, v in values.items())),
    )


def _fill(file: str, /, **values: str) -> str:
    return Template(_template(file)).substitute(values)


@cache
def _template(name: str) -> str:
    folder = resources.files('inception_jax.reports') / 'template'
    return (folder / name).read_text('utf-8')
