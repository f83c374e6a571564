"""Rows of a table of the paper, and what runs of ours give for each."""

import csv
import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from experiments.study import mean_and_range
from inception_jax.commands.shared.cli import markdown_table
from inception_jax.evaluation import probabilities, scores
from inception_jax.evaluation.probabilities import Probabilities
from inception_jax.evaluation.scores import Scores
from inception_jax.networks import NETWORKS
from inception_jax.networks.network import fingerprint
from inception_jax.runtime.files import write_atomically


class Row(NamedTuple):
    """A row of a table of the paper: errors in percent, None where it gives none.

    `networks` are ours, by name and how many of each; an ensemble if more than one.
    """

    title: str
    networks: dict[str, int]
    top_1: float | None
    top_5: float | None

    @property
    def is_ensemble(self) -> bool:
        return sum(self.networks.values()) > 1


class Table(NamedTuple):
    """A table of the paper. `images` are those that it is of."""

    number: int
    crops: int
    images: int
    rows: Sequence[Row]


class Ours(NamedTuple):
    """What runs of ours give for a row: the scores of each, or of their ensemble.

    `counts` are the runs that went into it, by network, and `alone` the scores of each.
    `relatives` tells that a network has another width, depth or size than the paper's.
    """

    row: Row
    counts: dict[str, int]
    scores: Sequence[Scores]
    alone: Sequence[Scores]
    relatives: bool


def ours(paper: Table, files: Sequence[Probabilities]) -> list[Ours]:
    """Returns our scores for the rows of a table, and for other networks after them.

    A row of one network has the scores of all files of it; an ensemble takes the first
    ones, as many as the paper's or as there are.
    """
    by_network = defaultdict(list)
    for found in files:
        by_network[found.metadata['network']].append(found)
    listed = {name for row in paper.rows for name in row.networks}
    others = [
        Row(name, {name: 1}, None, None) for name in by_network if name not in listed
    ]
    return [_ours(row, by_network) for row in (*paper.rows, *others)]


def _ours(row: Row, by_network: Mapping[str, list[Probabilities]]) -> Ours:
    members = {
        name: by_network.get(name, [])[: count if row.is_ensemble else None]
        for name, count in row.networks.items()
    }
    files = list(itertools.chain(*members.values()))
    if row.is_ensemble and not all(members.values()):
        files = []
    alone = together = [scores.scores(found) for found in files]
    if row.is_ensemble and files:
        together = [scores.scores(probabilities.ensemble(files))]
    counts = {name: len(found) for name, found in members.items()}
    return Ours(row, counts, together, alone, any(map(_is_relative, files)))


def _is_relative(found: Probabilities) -> bool:
    """Tells whether a network is not the one of its name, but for the classes."""
    own = NETWORKS.get(found.metadata['network'])
    if own is None:
        return False
    own = dataclasses.replace(own, classes=len(found.metadata['classes']))
    return found.metadata.get('fingerprint') != fingerprint(own)


def text(title: str, paper: Table, first: Probabilities, rows: Sequence[Ours]) -> str:
    """Returns the table in Markdown, and the order of the networks in both."""
    about = first.metadata
    images = len(first.ids)
    other = '' if images == paper.images else f'; the paper has {paper.images:,}'
    return '\n\n'.join(
        [
            f'# {title}',
            f'{paper.crops} crop{"s" * (paper.crops > 1)} of {images:,} images of '
            f'{about["source"]} {about["split"]}{other}. Errors in percent: of one run '
            'with its 95 % interval, of several the mean with the least and the '
            'greatest.'
            + (
                ' A star marks relatives of the networks, of another width, depth or '
                'size.'
                if any(one.relatives for one in rows)
                else ''
            ),
            markdown_table(
                (
                    'network',
                    'runs',
                    'top-1, paper',
                    'top-1, here',
                    'top-5, paper',
                    'top-5, here',
                ),
                map(_cells, rows),
            ),
            *_order(rows),
            *_gains(rows),
            '![The same as a picture](table.png)\n',
        ]
    )


def _cells(one: Ours) -> tuple[str, ...]:
    row = one.row
    runs = ' + '.join(
        f'{count} {name}' if len(row.networks) > 1 else str(count)
        for name, count in one.counts.items()
    )
    star = '*' if one.relatives else ''
    return (
        row.title,
        f'{runs}{star}' or '-',
        _number(row.top_1),
        _errors([each.top_1 for each in one.scores]),
        _number(row.top_5),
        _errors([each.top_5 for each in one.scores]),
    )


def _number(error: float | None) -> str:
    return '-' if error is None else f'{error:.1f}'


def _errors(found: Sequence) -> str:
    if not found:
        return '-'
    if len(found) == 1:
        (one,) = found
        return f'{one.error:.2f} ({one.low:.2f} to {one.high:.2f})'
    return mean_and_range([one.error for one in found], 2)


def _order(rows: Sequence[Ours]) -> Iterator[str]:
    """Yields the networks that both have, from the least top-1 error on."""
    both = [one for one in rows if one.scores and one.row.top_1 is not None]
    if len(both) > 1:
        here = sorted(both, key=_mean_top_1)
        there = sorted(both, key=lambda one: one.row.top_1)
        yield '\n'.join(
            f'From the least top-1 error on, {where}: '
            + ', '.join(one.row.title for one in order)
            + '.'
            for where, order in (('here', here), ('in the paper', there))
        )


def _gains(rows: Sequence[Ours]) -> Iterator[str]:
    """Yields by how much each ensemble of several runs is better than they are."""
    for one in rows:
        if one.row.is_ensemble and len(one.alone) > 1:
            mine = mean(each.top_1.error for each in one.alone)
            yield (
                f'{one.row.title}: {mine - _mean_top_1(one):.2f} points of top-1 error '
                f'below the mean of its {len(one.alone)} members here, {mine:.2f}.'
            )


def _mean_top_1(one: Ours) -> float:
    return mean(each.top_1.error for each in one.scores)


def picture(rows: Sequence[Ours]) -> dict:
    """Returns what is drawn: by panel and row, the paper's error and our scores."""
    return {
        f'top-{k} error, %': {
            one.row.title: (
                getattr(one.row, f'top_{k}'),
                [getattr(each, f'top_{k}') for each in one.scores],
            )
            for one in rows
        }
        for k in (1, 5)
    }


def write_csv(path: Path, rows: Sequence[Ours]) -> None:
    """Writes a line for each of our scores, and one for a row that has none."""
    with write_atomically(path) as draft, draft.open('w', newline='') as file:
        write = csv.writer(file, lineterminator='\n').writerow
        names = ('error', 'low', 'high')
        ends = [f'top_{k}_{name}' for k in (1, 5) for name in names]
        write(['row', 'paper_top_1_error', 'paper_top_5_error', 'images', *ends])
        for row, _, found, *_ in rows:
            head = (row.title, row.top_1, row.top_5)
            for one in found:
                write([*head, one.images, *one.top_1, *one.top_5])
            if not found:
                write(head)
