"""Probabilities of the images of a source: the mean softmax over crops, kept in a file.

What an error is made of is computed once; tables, subsets and ensembles are read from
files (`scores`), so that networks never share memory.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from inception_jax.data.example import Example, Source
from inception_jax.parallel.mesh import keep_pace
from inception_jax.runtime.files import write_atomically

FORMAT = 1
SECONDS_BETWEEN = 60.0


@dataclasses.dataclass(frozen=True)
class Probabilities:
    """The mean softmax of each image, in the order of the source.

    `ids` [images] are strings, `labels` [images] int32, `softmax` float32
    [images, classes]. `about` says in JSON how it was made, and the names of the
    `classes`.
    """

    ids: np.ndarray
    labels: np.ndarray
    softmax: np.ndarray
    about: dict[str, Any]


def save_probabilities(path: Path, found: Probabilities) -> None:
    """Writes a file in one piece.

    Raises:
      OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft, draft.open('wb') as file:
        np.savez(
            file,
            ids=found.ids,
            labels=found.labels,
            softmax=found.softmax,
            about=json.dumps({'format': FORMAT} | found.about),
        )


def load_probabilities(path: Path) -> Probabilities:
    """Reads a file that `save` wrote.

    Raises:
      ValueError: there is none, or it is another kind of file, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file['about']))
            found = Probabilities(file['ids'], file['labels'], file['softmax'], about)
    except FileNotFoundError as error:
        raise ValueError(f'{path}: there is no such file') from error
    except Exception as error:
        raise ValueError(
            f'{path} is not a file of probabilities, or is damaged; make it with '
            'evaluate --output'
        ) from error
    if about.pop('format', None) != FORMAT:
        raise ValueError(f'{path} is of another version of inception_jax')
    return found


def ensemble(files: Sequence[Probabilities]) -> Probabilities:
    """Returns the ensemble: the mean softmax of several networks, image by image.

    Raises:
      ValueError: they are not of the same images and labels.
    """
    check_same_images(files)
    first = files[0]
    total = np.sum([one.softmax for one in files], axis=0, dtype=np.float64)
    softmax = (total / len(files)).astype(np.float32)
    members = [{n: x for n, x in f.about.items() if n != 'classes'} for f in files]
    about = {'classes': first.about['classes'], 'ensemble': members}
    return dataclasses.replace(first, softmax=softmax, about=about)


def check_same_images(files: Sequence[Probabilities]) -> None:
    """Raises ValueError unless all are of the same images, labels and classes."""
    first, *others = files
    for number, other in enumerate(others, 2):
        for name in ('ids', 'labels'):
            if not np.array_equal(getattr(first, name), getattr(other, name)):
                raise ValueError(
                    f'the first file and file {number} are of other {name} '
                    f'({_spell(first)}; {_spell(other)}); expected the same images'
                )
        if first.about['classes'] != other.about['classes']:
            raise ValueError(
                f'the first file has {len(first.about["classes"])} classes, file '
                f'{number} {len(other.about["classes"])}, of other names; '
                'expected the same classes'
            )


def _spell(one: Probabilities) -> str:
    first = f', the first {one.ids[0]}' if len(one.ids) else ''
    return f'{len(one.ids):,} images{first}'


def compute_probabilities(
    softmax: Callable[[dict], dict],
    batches: Callable[[Source, range], Iterable[dict]],
    source: Source,
    *,
    views: int,
    stretch: int,
    about: dict[str, Any],
    begun: Probabilities | None,
    kept: Path,
    told: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Evaluates the images of a source, a stretch of so many at a time.

    What is done is kept in the file `kept` every minute and when it is interrupted;
    read from there it is `begun`, and the rest is done. Images that cannot be read have
    no row, and `about` tells how many.

    Args:
      softmax: maps a batch to `steps.softmax_step` of it.
      batches: maps a source and the range of some of its images to batches with all
        their views.
      told: is told how many images are done.

    """
    parts, done = ([begun], begun.about['done']) if begun else ([], 0)
    since = time.monotonic()
    told(done)
    try:
        while done < len(source):
            some = range(done, min(done + stretch, len(source)))
            parts.append(_part(softmax, batches, source, some, views))
            done = some.stop
            told(done)
            if time.monotonic() - since >= SECONDS_BETWEEN:
                save_probabilities(kept, _joined(parts, about | {'done': done}))
                since = time.monotonic()
    except BaseException:
        if parts:
            save_probabilities(kept, _joined(parts, about | {'done': done}))
        raise
    kept.unlink(missing_ok=True)
    found = _joined(parts, about)
    unreadable = len(source) - len(found.ids)
    return dataclasses.replace(found, about=about | {'unreadable': unreadable})


def _part(softmax, batches, source, some: range, views: int) -> Probabilities:
    """Returns the probabilities of some images of a source."""
    noted, results = _Noted(source), []
    for batch in batches(noted, some):
        results.append(softmax(batch))
        keep_pace(results)
    total = np.zeros((len(some), source.classes))
    counts = np.zeros(len(some), int)
    for result in jax.device_get(results):
        places = result['example'][result['mask']] - some.start
        np.add.at(total, places, result['softmax'][result['mask']])
        np.add.at(counts, places, 1)
    readable = np.flatnonzero(counts == views)
    seen = [noted.seen[some.start + place] for place in readable]
    return Probabilities(
        np.array([name for name, _ in seen], str),
        np.array([label for _, label in seen], np.int32),
        (total[readable] / views).astype(np.float32),
        {},
    )


class _Noted:
    """A source that notes the id and the label of what is read."""

    def __init__(self, source: Source):
        self.source, self.seen = source, {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        example = self.source[index]
        self.seen[int(index)] = example.id, example.label
        return example


def _joined(parts: Sequence[Probabilities], about: dict) -> Probabilities:
    return Probabilities(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ('ids', 'labels', 'softmax')
        ),
        about,
    )
