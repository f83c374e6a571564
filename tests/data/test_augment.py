"""The distortions on the device: their laws, and their figures against colorsys."""

import colorsys

import jax
import numpy as np
import pytest

from inception_jax.data.augment import (
    COLOURS,
    adjust_contrast,
    augment,
    rotate_hue,
    saturate,
    to_range,
)


def noise(*shape):
    return np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)


def keys(number):
    return jax.random.split(jax.random.key(0), number)


def distort(images, keys, *, flip=False, colour='none', pixel_range=(-1.0, 1.0)):
    options = {'flip': flip, 'colour': colour, 'pixel_range': pixel_range}
    return np.asarray(jax.jit(lambda k, x: augment(k, x, **options))(keys, images))


def scaled(images):
    return np.asarray(jax.jit(lambda x: to_range(x, (-1.0, 1.0)))(images))


def test_scaling_maps_black_and_white_to_the_ends_of_the_range():
    pixels = np.array([0, 51, 255], np.uint8)
    np.testing.assert_allclose(to_range(pixels, (-1.0, 1.0)), [-1, -0.6, 1], atol=1e-6)
    np.testing.assert_allclose(to_range(pixels, (0.0, 1.0)), [0, 0.2, 1], atol=1e-6)


def test_no_flip_and_no_colour_is_exactly_scaling():
    images = noise(3, 8, 9, 3)
    distorted = distort(images, keys(3))
    assert distorted.dtype == np.float32
    assert np.array_equal(distorted, scaled(images))


def test_half_of_the_images_are_mirrored_and_the_others_are_not():
    images = np.broadcast_to(noise(1, 2, 3, 3), (2000, 2, 3, 3))
    plain = scaled(images)
    flipped = distort(images, keys(2000), flip=True)
    mirrored = (flipped == plain[:, :, ::-1]).all((1, 2, 3))
    assert np.array_equal(~mirrored, (flipped == plain).all((1, 2, 3)))
    # Three standard deviations.
    assert mirrored.mean() == pytest.approx(0.5, abs=0.034)


@pytest.mark.parametrize('colour', ['fast', 'full'])
def test_colours_are_clipped_to_the_range(colour):
    distorted = distort(noise(64, 8, 8, 3), keys(64), colour=colour)
    assert (distorted.min(), distorted.max()) == (-1, 1)


@pytest.mark.parametrize('colour', ['none', 'fast', 'full'])
def test_an_example_does_not_depend_on_its_batch(colour):
    images, some = noise(6, 8, 8, 3), np.array([4, 1])
    whole = distort(images, keys(6), flip=True, colour=colour)
    part = distort(images[some], keys(6)[some], flip=True, colour=colour)
    np.testing.assert_allclose(part, whole[some], atol=1e-6)


@pytest.mark.parametrize('colour', ['fast', 'full'])
def test_examples_are_distorted_in_different_ways(colour):
    images = np.broadcast_to(noise(1, 4, 4, 3), (50, 4, 4, 3))
    distorted = distort(images, keys(50), colour=colour)
    assert len({image.tobytes() for image in distorted}) == 50


def test_brightness_shifts_by_at_most_32_grey_levels():
    grey = np.full((500, 1, 1, 3), 128, np.uint8)
    levels = distort(grey, keys(500), colour='fast', pixel_range=(0.0, 255.0))
    shift = levels[:, 0, 0, 0] - 128
    assert 31 < np.abs(shift).max() <= 32.001
    assert abs(shift.mean()) < 3 * 18.5 / 500**0.5


def test_contrast_keeps_the_mean_of_each_channel():
    image = np.array([[[0.0, 0.5, 0.2]], [[0.4, 0.5, 0.6]]], np.float32)
    expected = [[[0.1, 0.5, 0.3]], [[0.3, 0.5, 0.5]]]
    np.testing.assert_allclose(adjust_contrast(image, 0.5), expected, atol=1e-6)


def colours(number):
    """Returns an image of random colours, some grey and some equal in two channels."""
    image = np.random.default_rng(1).uniform(size=(number, 1, 3)).astype(np.float32)
    image[:2] = image[:2, :, :1]
    image[2:9, :, 1] = image[2:9, :, 0]
    image[9:16, :, 2] = image[9:16, :, 1]
    image[16] = 0
    return image


def through_hsv(change, image):
    pixels = image.reshape(-1, 3).tolist()
    changed = [colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*p))) for p in pixels]
    return np.reshape(changed, image.shape).astype(np.float32)


def with_saturation(factor):
    return lambda h, s, v: (h, min(1, s * factor), v)


def with_hue(turns):
    return lambda h, s, v: ((h + turns) % 1, s, v)


@pytest.mark.parametrize('factor', [0.5, 0.9, 1.5])
def test_saturation_is_that_of_hsv(factor):
    image = colours(200)
    expected = through_hsv(with_saturation(factor), image)
    np.testing.assert_allclose(saturate(image, factor), expected, atol=1e-6)


@pytest.mark.parametrize('turns', [-0.2, 0.0, 0.05, 0.2])
def test_hue_is_that_of_hsv(turns):
    image = colours(200)
    expected = through_hsv(with_hue(turns), image)
    np.testing.assert_allclose(rotate_hue(image, turns), expected, atol=2e-6)


def in_order(order, image, *, b, s, h, c):
    """Applies the four distortions one after another, as the authors' code does."""
    for name in order:
        if name == 'b':
            image = image + np.float32(b)
        elif name == 's':
            image = through_hsv(with_saturation(s), image)
        elif name == 'h':
            image = through_hsv(with_hue(h), image)
        else:
            mean = image.mean((0, 1), keepdims=True)
            image = mean + np.float32(c) * (image - mean)
    return image.clip(0, 1)


# The middle of the range of draws of each order.
ORDERS = [
    ('fast', 0.1, 'bs'),
    ('fast', 0.3, 'sb'),
    ('fast', 0.6, 'sb'),
    ('fast', 0.9, 'sb'),
    ('full', 0.1, 'bshc'),
    ('full', 0.3, 'sbch'),
    ('full', 0.6, 'chbs'),
    ('full', 0.9, 'hscb'),
]


@pytest.mark.parametrize(('colour', 'draw', 'order'), ORDERS)
@pytest.mark.parametrize('brightness', [0.0, 1.0])
def test_orders_are_those_of_the_authors(colour, draw, order, brightness):
    # Vivid enough for the saturation to reach 1, and nowhere black after a distortion,
    # for which colorsys has no hue.
    image = 0.2 + 0.7 * colours(100)
    distorted = COLOURS[colour](image, draw, brightness, 0.95, 0.8, 0.95)
    shift = (2 * brightness - 1) * 32 / 255
    expected = in_order(order, image, b=shift, s=1.45, h=0.12, c=1.45)
    np.testing.assert_allclose(distorted, expected, atol=2e-6)


def test_the_orders_differ_from_one_another():
    image = colours(100)
    results = [
        np.asarray(COLOURS[colour](image, draw, 1.0, 0.95, 0.8, 0.95))
        for colour, draw, _ in ORDERS
        if (colour, draw) not in (('fast', 0.6), ('fast', 0.9))
    ]
    for i, augmented in enumerate(results):
        assert all(np.abs(augmented - other).max() > 0.01 for other in results[:i])


def test_an_unknown_colour_distortion_is_refused():
    with pytest.raises(ValueError, match="'slow' is none of none, fast, full"):
        augment(
            keys(1), noise(1, 2, 2, 3), flip=True, colour='slow', pixel_range=(0, 1)
        )
