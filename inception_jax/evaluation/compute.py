"""The mean softmax of every image of a source, part by part, with resume."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from inception_jax.data.example import Example, Source
from inception_jax.evaluation.probabilities import (
    Probabilities,
    join_parts,
    save_probabilities,
)
from inception_jax.parallel.mesh import keep_pace

SECONDS_BETWEEN_SAVES = 60.0


def compute_probabilities(
    softmax: Callable[[dict], dict],
    batches: Callable[[Source, range], Iterable[dict]],
    source: Source,
    *,
    views: int,
    part_size: int,
    metadata: dict[str, Any],
    earlier: Probabilities | None = None,
    partial_path: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Probabilities:
    """Computes the probabilities of the images of a source.

    With `partial_path` the finished images are saved there every minute and on an
    interruption. Images that cannot be read have no row; `metadata['unreadable']` of
    the result is their number.

    Args:
      softmax: a function from a batch to its `steps.softmax_step`.
      batches: a function from a source and a range of indices to batches with all
        views of these images.
      source: the images.
      views: the number of views of an image, without mirror images.
      part_size: the number of images that are computed between two saves.
      metadata: the metadata of the result.
      earlier: an interrupted result to resume, read from `partial_path`;
        `metadata['done']` is the number of images that it covers.
      partial_path: the file of an interrupted result.
      progress: called with the number of images that are done.
    """
    parts, done = ([earlier], earlier.metadata['done']) if earlier else ([], 0)

    def save_partial() -> None:
        if partial_path and parts:
            save_probabilities(
                partial_path, join_parts(parts, metadata | {'done': done})
            )

    saved_at = time.monotonic()
    progress(done)
    try:
        while done < len(source):
            indices = range(done, min(done + part_size, len(source)))
            parts.append(_compute_part(softmax, batches, source, indices, views))
            done = indices.stop
            progress(done)
            if time.monotonic() - saved_at >= SECONDS_BETWEEN_SAVES:
                save_partial()
                saved_at = time.monotonic()
    except BaseException:
        save_partial()
        raise
    if partial_path:
        partial_path.unlink(missing_ok=True)
    result = join_parts(parts, metadata)
    unreadable = len(source) - len(result.ids)
    return dataclasses.replace(result, metadata=metadata | {'unreadable': unreadable})


def _compute_part(
    softmax, batches, source, indices: range, views: int
) -> Probabilities:
    recorded, results = _RecordedSource(source), []
    for batch in batches(recorded, indices):
        results.append(softmax(batch))
        keep_pace(results)
    total = np.zeros((len(indices), source.classes))
    counts = np.zeros(len(indices), int)
    for result in jax.device_get(results):
        places = result['example'][result['mask']] - indices.start
        np.add.at(total, places, result['softmax'][result['mask']])
        np.add.at(counts, places, 1)
    readable = np.flatnonzero(counts == views)
    examples = [recorded.examples[indices.start + place] for place in readable]
    return Probabilities(
        np.array([name for name, _ in examples], str),
        np.array([label for _, label in examples], np.int32),
        (total[readable] / views).astype(np.float32),
        {},
    )


class _RecordedSource:
    """A source that records the id and the label of each example that is read."""

    def __init__(self, source: Source):
        self.source, self.examples = source, {}

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.source.class_names

    @property
    def classes(self) -> int:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Example:
        example = self.source[index]
        self.examples[int(index)] = example.id, example.label
        return example
