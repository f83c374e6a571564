"""A report of a run, of a sweep or of several runs: an HTML page, and figures."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from inception_jax.plots.grouping import Row
from inception_jax.reports.page import study_page
from inception_jax.reports.sentences import lineage_tree, study_summary
from inception_jax.reports.study import Study, read_study
from inception_jax.reports.table import table_rows
from inception_jax.runtime.files import write_text
from inception_jax.runtime.messages import first_line, warn
from inception_jax.runtime.paths import local_path
from inception_jax.stability.verdicts import verdict_counts

StrPath = str | os.PathLike[str]


def report(paths: StrPath | Iterable[StrPath], output: StrPath | None = None) -> str:
    """Writes the report of a run, of a sweep or of several runs.

    The report is one HTML page that works without a network. Its figures for papers
    are PNG and SVG files in a folder beside the page: `figures` for report.html,
    `STEM_figures` for STEM.html.

    Args:
      paths: the folder of a run or of a sweep, or the folders of several runs.
      output: the path of the page. The default is report.html in the folder, or
        beside the first of several runs.

    Returns:
      A summary in one screen of text, with the paths of the files.

    Raises:
      ValueError: a folder holds neither a run nor a sweep, or a file is damaged. A
        sweep with damaged members is reported: these members have failed.

    >>> report(['runs/scale=0.1', 'runs/scale=1'], 'scales.html')  # doctest: +SKIP
    >>> report('nowhere')
    Traceback (most recent call last):
      ...
    ValueError: nowhere does not exist; expected the folder of a run (config.json) or \
of a sweep (sweep.json), as train and sweep write it
    """
    paths = [paths] if isinstance(paths, str | os.PathLike) else paths
    page = None if output is None else local_path(output)
    study = read_study([local_path(path) for path in paths])
    parent = study.folder.resolve().parent if study.kind == 'runs' else study.folder
    page = page or parent / 'report.html'
    usual_name = page.name == 'report.html'
    folder = page.with_name('figures' if usual_name else f'{page.stem}_figures')
    table = table_rows(study)
    html = study_page(study, table, figures=folder.name)
    write_text(page, html)
    return _screen(study, table, page, folder, draw_figures(study, table, folder))


def draw_figures(study: Study, table: Sequence[Row], folder: Path) -> Sequence[Path]:
    """Draws the figures for papers, without which the page is complete."""
    try:
        # matplotlib cannot be imported where it finds no place for its cache.
        from inception_jax.reports import figures

        return figures.draw_figures(study, table, folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: matplotlib has no home.
        warn(f'the figures in {folder} are not all drawn ({first_line(error)})')
        return []


def _screen(
    study: Study,
    table: Sequence[Row],
    page: Path,
    folder: Path,
    drawn: Sequence[Path],
) -> str:
    lines = [(study.kind, study.name)]
    if study.kind != 'run':
        lines += [('members', verdict_counts(row['verdict'] for row in table))]
    lines += [('verdict', study_summary(study, table))]
    tree = lineage_tree(study).splitlines()
    lines += [('' if number else 'lineage', line) for number, line in enumerate(tree)]
    size = page.stat().st_size / 1e6
    lines += [('report', f'{page} ({size:.1f} MB, one file, opens offline)')]
    if drawn:
        names = ', '.join(dict.fromkeys(path.stem for path in drawn))
        lines += [('figures', f'{folder}, as .png and .svg: {names}')]
    return '\n'.join(f'{title:<12}{content}' for title, content in lines)
