"""report: an HTML page about a run, a sweep or several runs."""

import argparse
from collections.abc import Callable

from inception_jax.commands.shared.cli import path_option, print_now, refuse_arguments

HELP = 'write an HTML page and figures about runs or a sweep'
DETAILS = 'The page opens offline. The command trains nothing.'
EXAMPLES = (
    'runs/stability',
    'runs/unscaled runs/saved --output reports/rescue.html',
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'folders',
        nargs='+',
        type=path_option,
        metavar='DIR',
        help='folder of a run or of a sweep, or folders of several runs, e.g. forks of '
        'one run',
    )
    parser.add_argument(
        '--output',
        type=path_option,
        metavar='FILE',
        help='HTML file to write. The figures go beside it, into figures/ for '
        'report.html and into STEM_figures/ for STEM.html (default: report.html in the '
        'folder, or beside the first of several runs)',
    )


def run(options: argparse.Namespace, rest: list[str]) -> Callable[[], int]:
    """Writes the page, which works without a network, and its figures."""
    refuse_arguments(rest)
    from inception_jax.reports.report import report

    summary = report(options.folders, options.output)
    return lambda: print_now(summary) or 0
