"""Top-k errors with confidence intervals, errors by class, and confusions.

Errors are in percent. A tie counts against the label, and so does a probability that is
not a number, as in `metrics.outside_top`.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from inception_jax.runs.run import shows_top_5
from inception_jax.runtime.amounts import counted

if TYPE_CHECKING:  # Probabilities shows its own scores.
    from inception_jax.evaluation.probabilities import Probabilities

# Two-sided, 95 %.
NORMAL_QUANTILE = 1.959964


class Score(NamedTuple):
    """An error in percent, with the ends of its 95 % confidence interval (Wilson)."""

    error: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.error:.2f} % ({self.low:.2f} to {self.high:.2f})'


class Scores(NamedTuple):
    """The number of images, the top-1 and top-5 error over them, and the classes."""

    images: int
    top_1: Score
    top_5: Score
    classes: int

    def __str__(self) -> str:
        top_5 = f', top-5 error {self.top_5}' if shows_top_5(self.classes) else ''
        return f'{counted(self.images, "image")}, top-1 error {self.top_1}{top_5}'


class ClassScore(NamedTuple):
    """A class: its name, its number of images, and their errors in percent.

    `mistaken_for` is the class that wrong predictions name most often, '' if no
    prediction is wrong.
    """

    name: str
    images: int
    top_1_error: float
    top_5_error: float
    mistaken_for: str


class Confusion(NamedTuple):
    """The number of images of the class `label` that are predicted as `answer`."""

    label: str
    answer: str
    images: int


def scores(probabilities: 'Probabilities') -> Scores:
    """Returns the top-1 and top-5 error over all images.

    Raises:
      ValueError: there are no images.

    >>> from inception_jax.evaluation.probabilities import Probabilities
    >>> softmax = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]], np.float32)
    >>> metadata = {'classes': ['ant', 'bee', 'cat']}
    >>> two = Probabilities(np.array(['a', 'b']), np.array([0, 2]), softmax, metadata)
    >>> print(scores(two).top_1)
    50.00 % (9.45 to 90.55)
    """
    if not len(probabilities.ids):
        raise ValueError('no image is left to compute an error')
    softmax, labels = probabilities.softmax, probabilities.labels
    return Scores(
        len(probabilities.ids),
        *(error_score(is_outside_top(k, softmax, labels)) for k in (1, 5)),
        softmax.shape[1],
    )


def is_outside_top(k: int, softmax: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns bool [images]: the label is not among the `k` most probable classes.

    `softmax` is [images, classes], `labels` int [images].
    """
    of_label = np.take_along_axis(softmax, labels[:, None], axis=1)
    return (np.sum(~(softmax < of_label), axis=1) > k) | ~np.isfinite(of_label[:, 0])


def error_score(wrong: np.ndarray) -> Score:
    """Returns the share of true values in percent, with its interval (Wilson, 1927)."""
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


def by_class(probabilities: 'Probabilities') -> list[ClassScore]:
    """Returns the scores of the classes that have images, the worst class first."""
    names, labels = probabilities.class_names, probabilities.labels
    top_1, top_5 = (is_outside_top(k, probabilities.softmax, labels) for k in (1, 5))
    answers = probabilities.softmax.argmax(axis=1)
    rows = []
    for label in np.unique(labels):
        in_class = labels == label
        others = answers[in_class & (answers != label)]
        usual = names[np.bincount(others).argmax()] if len(others) else ''
        errors = (100 * float(wrong[in_class].mean()) for wrong in (top_1, top_5))
        rows.append(ClassScore(names[label], int(in_class.sum()), *errors, usual))
    return sorted(rows, key=lambda row: (-row.top_1_error, -row.images, row.name))


def confusions(probabilities: 'Probabilities') -> list[Confusion]:
    """Returns the pairs of label and wrong prediction, the most frequent first."""
    names, labels = probabilities.class_names, probabilities.labels
    answers = probabilities.softmax.argmax(axis=1)
    wrong = answers != labels
    pairs, counts = np.unique(
        np.stack([labels[wrong], answers[wrong]]), axis=1, return_counts=True
    )
    rows = [
        Confusion(names[label], names[answer], int(count))
        for label, answer, count in zip(*pairs, counts, strict=True)
    ]
    return sorted(rows, key=lambda row: (-row.images, row.label, row.answer))
