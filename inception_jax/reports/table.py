"""The table of a study: a row for each member, and the titles of its columns."""

from typing import Any

from inception_jax.lab.table import RESULTS, cell_value, run_results
from inception_jax.plots.quantities import Quantity
from inception_jax.reports.study import Member, Study

# In order of importance: the last columns may be beyond the edge of a screen.
COLUMNS = {
    'verdict': Quantity('verdict'),
    'step': Quantity('since step'),
    'layer': Quantity('where first'),
    'dead_channels': Quantity('silent channels', '%', factor=100.0),
    'nats_learned': Quantity('below ln(classes)', 'nats'),
    'train_top_1_error': Quantity('training top-1 error', '%'),
    'top_1_error': Quantity('top-1 error', '%'),
    'onset': Quantity('onset', 'step'),
    'filters': Quantity('filters', 'final feature map'),
    'trend': Quantity('trend', 'points/100 steps'),
    'confirmed': Quantity('death confirmed', 'step'),
    'steps_done': Quantity('steps done'),
    'steps': Quantity('steps'),
    'top_5_error': Quantity('top-5 error', '%'),
    'cross_entropy': Quantity('cross-entropy', 'nats'),
    'best_top_1_error': Quantity('best top-1 error', '%'),
    'train_cross_entropy': Quantity('training cross-entropy', 'nats'),
}


def table_rows(study: Study) -> list[dict[str, Any]]:
    """Returns the fields, verdict and last records of each member, None if unknown.

    The rows are read from the folders of the members, so that they are up to date
    while a sweep is running.
    """
    return [_row(member) for member in study.members]


def filled_columns(table: list[dict[str, Any]]) -> list[str]:
    """Returns the columns of `COLUMNS` in which any row has a value."""
    return [name for name in COLUMNS if any(row[name] is not None for row in table)]


def _row(member: Member) -> dict[str, Any]:
    unknown = dict.fromkeys(RESULTS)
    hidden = {} if member.shows_top_5 else {'top_5_error': None}
    return {
        'member': member.name,
        **{name: cell_value(value) for name, value in member.fields.items()},
        **(unknown if member.is_damaged else run_results(member.folder)),
        **hidden,
        'verdict': member.verdict,
        'filters': member.filters,
    }
