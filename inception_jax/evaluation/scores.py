"""Errors of probabilities: of all images and of some, by class, and what is mistaken.

Top-k errors are in percent. A tie counts against the label, and so does what is not a
number, as in `metrics.outside_top`.
"""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inception_jax.evaluation.probabilities import Probabilities

# Two-sided, 95 %.
NORMAL_QUANTILE = 1.959964


class Score(NamedTuple):
    """An error in percent, with the ends of its 95 % confidence interval (Wilson)."""

    error: float
    low: float
    high: float


class Scores(NamedTuple):
    """The top-1 and top-5 error over so many images."""

    images: int
    top_1: Score
    top_5: Score


def scores(found: Probabilities) -> Scores:
    """Returns the errors over all images.

    Raises:
      ValueError: there are no images.
    """
    if not len(found.ids):
        raise ValueError('no image is left to take an error of')
    return Scores(
        len(found.ids),
        *(error_score(is_outside_top(k, found.softmax, found.labels)) for k in (1, 5)),
    )


def is_outside_top(k: int, softmax: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Tells for which images the label is not among the `k` most probable classes."""
    own = np.take_along_axis(softmax, labels[:, None], axis=1)
    return (np.sum(~(softmax < own), axis=1) > k) | ~np.isfinite(own[:, 0])


def error_score(wrong: np.ndarray) -> Score:
    """Returns the share of true values in percent, with its interval."""
    number, share = len(wrong), float(np.mean(wrong))
    spread = NORMAL_QUANTILE**2 / number
    centre = (share + spread / 2) / (1 + spread)
    half = (
        NORMAL_QUANTILE
        * math.sqrt(share * (1 - share) / number + spread / (4 * number))
        / (1 + spread)
    )
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Score(100 * share, 100 * low, 100 * high)


def without_images(found: Probabilities, excluded: Sequence[str]) -> Probabilities:
    """Returns the probabilities without some images.

    They are named by id, or all of them by a number: the one at the end of the name of
    a file, from 1 on, as in ILSVRC2012_val_00000001.JPEG and ImageNet's list of images
    to leave out.

    Raises:
      ValueError: an image is not there, or the ids do not end in a number of their own.
    """
    names = found.ids.tolist()
    if all(one.isdigit() for one in excluded) and not set(excluded) <= set(names):
        names, excluded = _numbers(names), [int(one) for one in excluded]
    missing = sorted(set(excluded) - set(names))
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(excluded)} images to leave out are not there, as '
            f'{missing[0]}; the images have ids such as {found.ids[0]}'
        )
    kept = ~np.isin(np.array(names), np.array(excluded))
    return Probabilities(
        found.ids[kept], found.labels[kept], found.softmax[kept], found.about
    )


def _numbers(ids: list[str]) -> list[int]:
    ends = [re.search(r'(\d+)(\.\w+)?$', name) for name in ids]
    numbers = [int(end[1]) if end else 0 for end in ends]
    if len(set(numbers)) < len(numbers):
        raise ValueError(
            f'the images to leave out are numbers, and ids such as {ids[0]} do not end '
            'in a number of their own; name them by id'
        )
    return numbers


class ClassScore(NamedTuple):
    """A class: its name, its images, and the shares of them in error, in percent."""

    name: str
    images: int
    top_1_error: float
    top_5_error: float
    mistaken_for: str


class Confusion(NamedTuple):
    """How many images of a class have another one as the most probable."""

    label: str
    answer: str
    images: int


def by_class(found: Probabilities, names: Sequence[str]) -> list[ClassScore]:
    """Returns the classes that have images, the worst first."""
    top_1, top_5 = (is_outside_top(k, found.softmax, found.labels) for k in (1, 5))
    answers = found.softmax.argmax(axis=1)
    rows = []
    for label in np.unique(found.labels):
        own = found.labels == label
        others = answers[own & (answers != label)]
        usual = names[np.bincount(others).argmax()] if len(others) else ''
        shares = (100 * float(wrong[own].mean()) for wrong in (top_1, top_5))
        rows.append(ClassScore(names[label], int(own.sum()), *shares, usual))
    return sorted(rows, key=lambda row: (-row.top_1_error, -row.images, row.name))


def confusions(found: Probabilities, names: Sequence[str]) -> list[Confusion]:
    """Returns which classes are taken for which, the most frequent first."""
    answers = found.softmax.argmax(axis=1)
    wrong = answers != found.labels
    pairs, counts = np.unique(
        np.stack([found.labels[wrong], answers[wrong]]), axis=1, return_counts=True
    )
    rows = [
        Confusion(names[label], names[answer], int(count))
        for label, answer, count in zip(*pairs, counts, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.images, row.label, row.answer))
