"""A report of a run, of a sweep or of several runs: a page, and figures for papers."""

from pathlib import Path

from inception_jax.reports import study as studies
from inception_jax.reports.page import page
from inception_jax.reports.pictures import pictures
from inception_jax.reports.table import rows
from inception_jax.reports.words import lineage, summary
from inception_jax.verdicts import counts


def report(folders: list[Path], output: Path | None = None) -> str:
    """Writes the report of what the folders hold and returns one screen of text.

    Args:
      folders: one run, one sweep, or several runs.
      output: the page, by default report.html in the folder, or beside the first of
        several; its figures are written next to it, into the folder `figures`.

    Raises:
      ValueError: a folder holds neither a run nor a sweep, or a file is damaged.
    """
    study = studies.read([Path(folder) for folder in folders])
    home = study.folder.resolve().parent if study.kind == 'runs' else study.folder
    output = Path(output) if output else home / 'report.html'
    table = rows(study)
    text = page(study, table)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding='utf-8')
    written = pictures(study, table, output.parent / 'figures')
    return _screen(study, table, output, written)


def _screen(study, table, output: Path, written: list[Path]) -> str:
    names = list(dict.fromkeys(path.stem for path in written))
    lines = [f'{study.kind:<12}{study.name}']
    if study.kind != 'run':
        lines += [f'{"members":<12}{counts(row["verdict"] for row in table)}']
    lines += [f'{"verdict":<12}{summary(study, table)}']
    family = lineage(study).splitlines()
    lines += [f'{"lineage" if line is family[0] else "":<12}{line}' for line in family]
    size = output.stat().st_size / 1e6
    lines += [f'{"report":<12}{output} ({size:.1f} MB, one file, opens offline)']
    if names:
        where = output.parent / 'figures'
        lines += [f'{"figures":<12}{where}, as .png and .svg: {", ".join(names)}']
    return '\n'.join(lines)
