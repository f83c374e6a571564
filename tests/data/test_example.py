"""What every reader of a source checks, and what two splits must share."""

import numpy as np
import pytest

from inception_jax.data.example import Unreadable, check_same_classes, read_example
from inception_jax.data.sources.arrays import Arrays


def source(*names, labels=(0,)):
    images = np.zeros((len(labels), 4, 4), np.uint8)
    ids = tuple(f'image {number}' for number in range(len(labels)))
    return Arrays(images, np.array(labels), ids, names)


@pytest.mark.parametrize('label', [-1, 2])
def test_a_label_that_is_no_class_is_refused_by_id(label):
    images = source('ant', 'bee', labels=(1, label))
    assert read_example(images, 0).label == 1
    with pytest.raises(
        Unreadable, match=rf'image 1 has the label {label}; exp.* 0 to 1'
    ):
        read_example(images, 1)


def test_an_example_that_is_missing_is_unreadable():
    with pytest.raises(
        Unreadable, match=r'cannot read example 7 of the data \(index 7'
    ):
        read_example(source('ant'), 7)


def test_two_splits_have_the_same_classes_in_the_same_order():
    check_same_classes(source('ant', 'bee'), source('ant', 'bee'))
    with pytest.raises(ValueError, match=r'splits differ \(cat, 1 in all\); both'):
        check_same_classes(source('ant', 'bee'), source('ant', 'bee', 'cat'))
    with pytest.raises(ValueError, match='the names differ in their Unicode form'):
        check_same_classes(source('caf\u00e9'), source('cafe\u0301'))
