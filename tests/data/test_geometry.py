"""Positions of crops: their distributions, and the rounding of TensorFlow."""

import numpy as np
import pytest

from inception_jax.data.geometry import Box, central_crop, random_area_crop

AREA, ASPECT = (0.05, 1.0), (3 / 4, 4 / 3)


def crops(height, width, number=4000, area=AREA):
    rng = np.random.default_rng(0)
    return np.array(
        [
            random_area_crop(rng, height, width, area=area, aspect=ASPECT)
            for _ in range(number)
        ]
    )


@pytest.mark.parametrize(('height', 'width'), [(375, 500), (500, 375), (64, 64)])
def test_crops_lie_in_the_image_and_in_their_ranges(height, width):
    top, left, tall, wide = crops(height, width).T
    assert min(top.min(), left.min()) == 0
    assert ((top + tall <= height) & (left + wide <= width)).all()
    area = tall * wide / (height * width)
    assert area.min() >= 0.05
    assert area.max() <= 1
    # The width is rounded to a pixel.
    assert ((wide + 0.5) / tall >= ASPECT[0]).all()
    assert ((wide - 0.5) / tall <= ASPECT[1]).all()


def test_every_corner_of_the_image_is_reached():
    top, left, tall, wide = crops(64, 64).T
    assert ((top == 0) & (left + wide == 64)).any()
    assert ((top + tall == 64) & (left == 0)).any()


def test_the_height_is_uniform_as_in_tensorflow():
    *_, tall, wide = crops(375, 500, 20000).T
    # From 20,000 draws of tf.image.sample_distorted_bounding_box with a box that is the
    # whole image, min_object_covered 0 and an aspect up to 1.33.
    shares = np.quantile(tall * wide / (375 * 500), [0.1, 0.25, 0.5, 0.75, 0.9])
    expected = [0.0824, 0.1477, 0.2993, 0.5068, 0.6708]
    np.testing.assert_allclose(shares, expected, atol=0.01)
    assert (wide / tall).mean() == pytest.approx(1.042, abs=0.01)


def test_an_area_from_a_tenth_is_what_the_authors_trainer_draws():
    *_, tall, wide = crops(375, 500, 20000, area=(0.1, 1)).T
    # The same with min_object_covered 0.1 and an area from 0.05.
    shares = np.quantile(tall * wide / (375 * 500), [0.1, 0.25, 0.5, 0.75, 0.9])
    expected = [0.1369, 0.2074, 0.3508, 0.5369, 0.6923]
    np.testing.assert_allclose(shares, expected, atol=0.01)


@pytest.mark.parametrize(('height', 'width'), [(10, 1000), (1000, 10), (1, 1)])
def test_an_image_that_no_crop_fits_is_taken_whole(height, width):
    assert set(map(tuple, crops(height, width, 5))) == {(0, 0, height, width)}


def test_one_draw_differs_from_the_next():
    assert len(set(map(tuple, crops(375, 500, 100)))) > 95


@pytest.mark.parametrize(
    ('height', 'width', 'box'),
    [
        # Sizes as tf.image.central_crop gives them.
        (375, 500, Box(23, 31, 329, 438)),
        (500, 375, Box(31, 23, 438, 329)),
        (101, 77, Box(6, 4, 89, 69)),
        (9, 15, Box(0, 0, 9, 15)),
        (1, 1, Box(0, 0, 1, 1)),
    ],
)
def test_the_central_crop_rounds_like_tensorflow(height, width, box):
    assert central_crop(height, width, 0.875) == box


def test_the_central_crop_of_all_is_the_image():
    assert central_crop(375, 500, 1.0) == Box(0, 0, 375, 500)
