"""Errors of probabilities, their intervals, subsets and classes."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from inception_jax.evaluation.probabilities import (
    Probabilities,
    ensemble,
    without_images,
)
from inception_jax.evaluation.scores import (
    ClassScore,
    Confusion,
    by_class,
    confusions,
    error_score,
    is_outside_top,
    scores,
)
from inception_jax.steps.metrics import outside_top

NAMES = ('ant', 'bee', 'cat')
IDS = [f'val/ILSVRC2012_val_{i:08d}.JPEG' for i in (3, 1, 4, 2)]


@pytest.fixture
def probabilities():
    """Returns four images, of which the first alone is right."""
    softmax = [[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.1, 0.7, 0.2], [0.1, 0.8, 0.1]]
    labels = np.array([0, 1, 2, 2], np.int32)
    return Probabilities(
        np.array(IDS), labels, np.array(softmax, np.float32), {'classes': NAMES}
    )


@pytest.mark.parametrize('k', [1, 5])
def test_errors_are_those_of_the_step_with_ties_and_what_is_no_number(k):
    rng = np.random.default_rng(0)
    softmax = rng.integers(6, size=(300, 10)).astype(np.float32)
    softmax[::17] = np.nan
    labels = rng.integers(10, size=300)
    expected = outside_top(k, jnp.asarray(softmax), jnp.asarray(labels))
    assert np.array_equal(is_outside_top(k, softmax, labels), expected)


def test_an_interval_is_wilsons():
    # Worked out by hand from Wilson (1927) with z = 1.96.
    ten = error_score(np.arange(100) < 10)
    assert ten == pytest.approx((10, 5.523, 17.437), abs=1e-3)
    assert error_score(np.zeros(50, bool)) == pytest.approx((0, 0, 7.135), abs=1e-3)
    assert error_score(np.ones(50, bool)) == pytest.approx((100, 92.865, 100), abs=1e-3)


def test_errors_are_in_percent_of_the_images(probabilities):
    all_ = scores(probabilities)
    assert (all_.images, all_.top_1.error, all_.top_5.error) == (4, 75, 0)


@pytest.mark.parametrize('names', [['3', '4'], [IDS[0], IDS[2]]])
def test_images_are_left_out_by_the_number_of_their_file_or_by_id(probabilities, names):
    rest = without_images(probabilities, names)
    assert rest.ids.tolist() == [IDS[1], IDS[3]]
    assert rest.labels.tolist() == [1, 2]
    assert np.array_equal(rest.softmax, probabilities.softmax[[1, 3]])


def test_images_that_are_not_there_cannot_be_left_out(probabilities):
    with pytest.raises(
        ValueError, match=r'1 of 2 images to leave out cannot be found.* 7'
    ):
        without_images(probabilities, ['3', '7'])
    with pytest.raises(
        ValueError, match=r'cannot be found, e\.g\. x\.png; .* such as val/'
    ):
        without_images(probabilities, ['x.png'])


def test_an_image_that_cannot_be_read_may_be_left_out(probabilities):
    metadata = probabilities.metadata | {'unreadable': 1, 'classes': list('abc')}
    some = dataclasses.replace(probabilities, metadata=metadata)
    for incomplete in (some, ensemble([some, some])):
        assert len(without_images(incomplete, [IDS[0], 'lost.png']).ids) == 3
    with pytest.raises(ValueError, match='2 of 2 images to leave out cannot be found'):
        without_images(some, ['lost.png', 'x.png'])


def test_numbers_need_ids_that_end_in_them(probabilities):
    ids = np.array(['a/1.png', 'b/1.png', 'c/2.png', 'd'])
    other = Probabilities(ids, probabilities.labels, probabilities.softmax, {})
    with pytest.raises(ValueError, match='do not end in distinct numbers'):
        without_images(other, ['1'])


def test_no_images_have_no_error(probabilities):
    with pytest.raises(ValueError, match='no image is left'):
        scores(without_images(probabilities, IDS))


def test_classes_come_the_worst_first(probabilities):
    assert by_class(probabilities) == [
        ClassScore('cat', 2, 100, 0, 'bee'),
        ClassScore('bee', 1, 100, 0, 'ant'),
        ClassScore('ant', 1, 0, 0, ''),
    ]


def test_confusions_come_the_most_frequent_first(probabilities):
    pairs = [Confusion('cat', 'bee', 2), Confusion('bee', 'ant', 1)]
    assert confusions(probabilities) == pairs
