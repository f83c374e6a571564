"""report: a page about a run, a sweep or several runs."""

import argparse
from collections.abc import Callable
from pathlib import Path

from inception_jax.commands.shared.cli import refuse_arguments

HELP = 'write a page about a run, a sweep or several runs'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folders',
        nargs='+',
        type=Path,
        metavar='DIR',
        help='one run, one sweep, or several runs such as forks of one',
    )
    parser.add_argument(
        '--output',
        type=Path,
        metavar='FILE',
        help='the page; otherwise report.html in the folder, or beside the first of '
        'several runs. Its figures go next to it: into figures, or into STEM_figures '
        'for a page STEM.html',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Writes one page that needs no network, and its figures as PNG and SVG."""
    refuse_arguments(rest)
    from inception_jax.reports.report import report

    text = report(options.folders, options.output)
    return lambda: print(text) or 0
