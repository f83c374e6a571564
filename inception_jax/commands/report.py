"""report: an HTML page about a run, a sweep or several runs."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments

HELP = 'write an HTML page about a run, a sweep or several runs'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folders',
        nargs='+',
        type=path_option,
        metavar='DIR',
        help='the folder of a run or of a sweep, or the folders of several runs, for '
        'example forks of one run',
    )
    parser.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='write the page to FILE, and its figures beside it, into the folder '
        'figures for report.html and STEM_figures for STEM.html; default: report.html '
        'in the folder, or beside the first of several runs',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Writes the page, which works without a network, and its figures."""
    refuse_arguments(rest)
    from inception_jax.reports.report import report

    summary = report(options.folders, options.output)
    return lambda: print_now(summary) or 0
