"""A report of a run, of a sweep or of several runs: a page, and figures for papers."""

from pathlib import Path

from inception_jax.reports.figures import draw_figures
from inception_jax.reports.page import page
from inception_jax.reports.sentences import lineage, summary
from inception_jax.reports.study import read_study
from inception_jax.reports.table import table_rows
from inception_jax.runtime.files import write_text
from inception_jax.stability.verdicts import verdict_counts


def report(folders: list[Path], output: Path | None = None) -> str:
    """Writes the report of what the folders hold and returns one screen of text.

    Args:
      folders: one run, one sweep, or several runs.
      output: the page, by default report.html in the folder, or beside the first of
        several; its figures are written next to it, into the folder `figures`, or
        `STEM_figures` for a page of another name.

    Raises:
      ValueError: a folder holds neither a run nor a sweep, or a file is damaged that
        is not that of a sweep's member.
    """
    study = read_study([Path(folder) for folder in folders])
    home = study.folder.resolve().parent if study.kind == 'runs' else study.folder
    output = Path(output) if output else home / 'report.html'
    table = table_rows(study)
    folder = figures(output)
    text = page(study, table, figures=folder.name)
    write_text(output, text)
    written = draw_figures(study, table, folder)
    return _screen(study, table, output, written)


def figures(output: Path) -> Path:
    """Returns the folder of a page's figures: no two pages beside each other share it.

    It is `figures` for report.html and `forks_figures` for forks.html.
    """
    is_usual = output.name == 'report.html'
    return output.with_name('figures' if is_usual else f'{output.stem}_figures')


def _screen(study, table, output: Path, written: list[Path]) -> str:
    names = list(dict.fromkeys(path.stem for path in written))
    lines = [f'{study.kind:<12}{study.name}']
    if study.kind != 'run':
        lines += [f'{"members":<12}{verdict_counts(row["verdict"] for row in table)}']
    lines += [f'{"verdict":<12}{summary(study, table)}']
    family = lineage(study).splitlines()
    lines += [f'{"lineage" if line is family[0] else "":<12}{line}' for line in family]
    size = output.stat().st_size / 1e6
    lines += [f'{"report":<12}{output} ({size:.1f} MB, one file, opens offline)']
    if names:
        where = figures(output)
        lines += [f'{"figures":<12}{where}, as .png and .svg: {", ".join(names)}']
    return '\n'.join(lines)
