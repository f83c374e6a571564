"""The rows of a table of the paper, and the scores of our runs for each row."""

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
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_atomically


class Row(NamedTuple):
    """A row of a table of the paper.

    Attributes:
      networks: the number of networks by name; a row with several is an ensemble.
      top_1, top_5: the errors in percent, None if the paper gives none.
    """

    title: str
    networks: dict[str, int]
    top_1: float | None
    top_5: float | None

    @property
    def is_ensemble(self) -> bool:
        return sum(self.networks.values()) > 1


class Table(NamedTuple):
    """A table of the paper. `images` is the number of images in its evaluation."""

    number: int
    title: str
    crops: int
    images: int
    rows: Sequence[Row]
    cost: str
    notes: str


class RowScores(NamedTuple):
    """Our scores for a row of the paper.

    Attributes:
      row: the row.
      counts: the number of our runs for each network.
      scores: the scores of each run, or of their ensemble.
      members: the scores of each run.
      is_relative: whether a network differs from the paper's in width, depth or size.
    """

    row: Row
    counts: dict[str, int]
    scores: Sequence[Scores]
    members: Sequence[Scores]
    is_relative: bool


def score_rows(paper: Table, files: Sequence[Probabilities]) -> list[RowScores]:
    """Returns our scores for the rows of a table, followed by other networks.

    A row of one network gets the scores of all its files. An ensemble takes the first
    files: as many as the paper's ensemble, or as many as there are.
    """
    by_network = defaultdict(list)
    for file in files:
        by_network[file.metadata['network']].append(file)
    listed = {name for row in paper.rows for name in row.networks}
    others = [
        Row(name, {name: 1}, None, None) for name in by_network if name not in listed
    ]
    return [_score_row(row, by_network) for row in (*paper.rows, *others)]


def _score_row(row: Row, by_network: Mapping[str, list[Probabilities]]) -> RowScores:
    members = {
        name: by_network.get(name, [])[: count if row.is_ensemble else None]
        for name, count in row.networks.items()
    }
    files = list(itertools.chain(*members.values()))
    if row.is_ensemble and not all(members.values()):
        files = []
    alone = together = [scores.scores(file) for file in files]
    if row.is_ensemble and files:
        together = [scores.scores(probabilities.ensemble(files))]
    counts = {name: len(member_files) for name, member_files in members.items()}
    return RowScores(row, counts, together, alone, any(map(_is_relative, files)))


def _is_relative(file: Probabilities) -> bool:
    """Returns whether a network differs from its namesake, except in its classes."""
    namesake = NETWORKS.get(file.metadata['network'])
    if namesake is None:
        return False
    namesake = dataclasses.replace(namesake, classes=len(file.metadata['classes']))
    return file.metadata.get('fingerprint') != fingerprint(namesake)


def table_markdown(
    paper: Table, first: Probabilities, rows: Sequence[RowScores]
) -> str:
    """Returns the table in Markdown, with the paper's ranking and ours below it."""
    images, evaluated = len(first.ids), first.metadata
    other = '' if images == paper.images else f'; the paper has {paper.images:,}'
    star = (
        ' A star marks relatives of the networks, with another width, depth or size.'
        if any(row.is_relative for row in rows)
        else ''
    )
    columns = ('network', 'runs')
    columns += tuple(f'top-{k}, {side}' for k in (1, 5) for side in ('paper', 'here'))
    return '\n\n'.join(
        [
            f'# Table {paper.number}: {paper.title}',
            f'{counted(paper.crops, "crop")} of {counted(images, "image")} of '
            f'{evaluated["source"]} {evaluated["split"]}{other}. Errors in percent: '
            'for one run with its 95 % interval, for several runs the mean, the least '
            f'and the greatest.{star}',
            markdown_table(columns, map(_cells, rows)),
            *_order(rows),
            *_gains(rows),
            '![The same table as a picture](table.png)\n',
        ]
    )


def _cells(scored: RowScores) -> tuple[str, ...]:
    row = scored.row
    runs = ' + '.join(
        f'{count} {name}' if len(row.networks) > 1 else str(count)
        for name, count in scored.counts.items()
    )
    star = '*' if scored.is_relative else ''
    return (
        row.title,
        f'{runs}{star}' or '-',
        _paper_error(row.top_1),
        _errors([run.top_1 for run in scored.scores]),
        _paper_error(row.top_5),
        _errors([run.top_5 for run in scored.scores]),
    )


def _paper_error(error: float | None) -> str:
    return '-' if error is None else f'{error:.1f}'


def _errors(estimates: Sequence) -> str:
    if not estimates:
        return '-'
    if len(estimates) == 1:
        (estimate,) = estimates
        return f'{estimate.error:.2f} ({estimate.low:.2f} to {estimate.high:.2f})'
    return mean_and_range([estimate.error for estimate in estimates], 2)


def _order(rows: Sequence[RowScores]) -> Iterator[str]:
    """Yields our ranking of the networks and the paper's, by top-1 error."""
    both = [row for row in rows if row.scores and row.row.top_1 is not None]
    if len(both) > 1:
        here = sorted(both, key=_mean_top_1)
        there = sorted(both, key=lambda scored: scored.row.top_1)
        yield '\n'.join(
            f'From the least top-1 error on, {where}: '
            + ', '.join(scored.row.title for scored in order)
            + '.'
            for where, order in (('here', here), ('in the paper', there))
        )


def _gains(rows: Sequence[RowScores]) -> Iterator[str]:
    """Yields the points of error that ensembles gain over the mean of their members."""
    for scored in rows:
        if scored.row.is_ensemble and len(scored.members) > 1:
            alone = mean(run.top_1.error for run in scored.members)
            yield (
                f'{scored.row.title}: {alone - _mean_top_1(scored):.2f} points of '
                f'top-1 error below the mean of its {len(scored.members)} members '
                f'here, {alone:.2f}.'
            )


def _mean_top_1(scored: RowScores) -> float:
    return mean(run.top_1.error for run in scored.scores)


def table_panels(rows: Sequence[RowScores]) -> dict:
    """Returns the paper's error and our scores for a figure, by panel and row."""
    return {
        f'top-{k} error, %': {
            scored.row.title: (
                getattr(scored.row, f'top_{k}'),
                [getattr(run, f'top_{k}') for run in scored.scores],
            )
            for scored in rows
        }
        for k in (1, 5)
    }


def write_csv(path: Path, rows: Sequence[RowScores]) -> None:
    """Writes a line for each of our scores, and a line for each row without scores."""
    with write_atomically(path) as draft, draft.open('w', newline='') as file:
        write = csv.writer(file, lineterminator='\n').writerow
        names = ('error', 'low', 'high')
        ends = [f'top_{k}_{name}' for k in (1, 5) for name in names]
        write(['row', 'paper_top_1_error', 'paper_top_5_error', 'images', *ends])
        for scored in rows:
            head = (scored.row.title, scored.row.top_1, scored.row.top_5)
            for run in scored.scores:
                write([*head, run.images, *run.top_1, *run.top_5])
            if not scored.scores:
                write(head)
