"""Crops and interpolation of PyTorch's transforms, beside Pillow and by hand."""

import jax
import numpy as np
import pytest
from PIL import Image

from inception_jax.data.crops import views
from inception_jax.data.geometry import Box
from inception_jax.data.pipeline import evaluation_batches
from inception_jax.data.resize import resize
from inception_jax.data.sources.arrays import Arrays


@pytest.mark.parametrize(
    ('height', 'width', 'sides', 'box'),
    [
        # 341 = 299 / 0.875 rounded down; 454.67 is rounded down too.
        (375, 500, (341, 454), (21, 78)),
        (500, 375, (454, 341), (78, 21)),
        (341, 341, (341, 341), (21, 21)),
        # Half a pixel goes to the even side: 81.5 and 20.5 to 82 and 20.
        (100, 135, (341, 460), (21, 80)),
    ],
)
def test_the_square_crop_is_that_of_torchvision(height, width, sides, box):
    (view,) = views(
        height, width, size=299, crops=1, crop_fraction=0.875, square_crop=True
    )
    assert (view.height, view.width) == sides
    assert view.box == Box(*box, 299, 299)


def test_torchvisions_own_share_gives_342_pixels():
    options = {'size': 299, 'crops': 1, 'crop_fraction': 0.8742, 'square_crop': True}
    (view,) = views(400, 600, **options)
    assert (view.height, view.width) == (342, 513)
    options['crop_fraction'] = 0.8975
    (view,) = views(400, 600, **options)
    assert view.height == 333


@pytest.mark.parametrize(
    ('name', 'method'),
    [('smooth_bilinear', Image.BILINEAR), ('smooth_bicubic', Image.BICUBIC)],
)
def test_smooth_interpolations_are_pillows(name, method):
    image = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype='uint8')
    expected = np.asarray(Image.fromarray(image).resize((20, 30), method))
    resized = resize(image, 30, 20, name)
    assert np.array_equal(resized, expected)
    # Downscaling smooths: noise has a lower deviation.
    assert resized.std() < resize(image, 30, 20, 'bilinear').std()


@pytest.mark.parametrize('size', [20, 99])
def test_float_bilinear_is_that_of_jax_and_is_not_rounded(size):
    image = np.random.default_rng(0).integers(256, size=(40, 60, 3), dtype='uint8')
    expected = jax.image.resize(
        image.astype(np.float32), (size, size, 3), 'linear', antialias=False
    )
    pixels = resize(image, size, size, 'float_bilinear')
    assert pixels.dtype == np.float32
    assert np.abs(pixels - expected).max() < 0.006
    rounded = resize(image, size, size, 'bilinear').astype(np.float32)
    assert np.abs(rounded - expected).max() > 0.4


def test_batches_of_floats_have_rows_of_floats_for_padding_and_lost_images():
    images = [np.full((16, 16, 3), 200, np.uint8), b'']
    source = Arrays(images, np.zeros(2, int), ('0', '1'), ('a',))
    (batch,) = evaluation_batches(
        source,
        batch_size=4,
        size=16,
        crops=1,
        crop_fraction=1.0,
        interpolation='float_bilinear',
        unreadable=lambda error: None,
    )
    assert batch['image'].dtype == np.float32
    assert batch['image'].max((1, 2, 3)).tolist() == [200, 0, 0, 0]


def test_a_network_sees_the_square_crop_of_the_resized_image():
    image = np.random.default_rng(0).integers(256, size=(50, 80, 3), dtype='uint8')
    source = Arrays(image[None], np.zeros(1, int), ('0',), ('a',))
    (batch,) = evaluation_batches(
        source,
        batch_size=1,
        size=28,
        crops=1,
        crop_fraction=0.875,
        square_crop=True,
        interpolation='smooth_bicubic',
    )
    whole = Image.fromarray(image).resize((51, 32), Image.BICUBIC)
    # (51 - 28) / 2 is 11.5, and the even side is 12.
    expected = np.asarray(whole)[2:30, 12:40]
    assert np.array_equal(batch['image'][0], expected)
