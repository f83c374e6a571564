"""Flip, colour distortion and scaling of images, inside the compiled step.

Strengths and orders are from TF-Slim inception_preprocessing.py, the preprocessing of
the paper's authors. Colours are float32 in [0, 1], black to white, and may leave that
range between two operations. Each colour operation names its TensorFlow equivalent.
"""

import jax
import jax.numpy as jnp

from inception_jax.runtime import choices

BRIGHTNESS = 32 / 255  # The largest shift, up or down.
SATURATION = (0.5, 1.5)
HUE = 0.2  # The largest rotation in turns of the colour circle, either way.
CONTRAST = (0.5, 1.5)


def to_range(images: jax.Array, pixel_range: tuple[float, float]) -> jax.Array:
    """Maps images of any shape to float32: 0 .. 255 becomes `pixel_range`."""
    return _scale(_unit(images), pixel_range)


def augment(
    keys: jax.Array,
    images: jax.Array,
    *,
    flip: bool,
    colour: str,
    pixel_range: tuple[float, float],
) -> jax.Array:
    """Flips and distorts images at random and scales them to `pixel_range`.

    The result for an example depends only on the example and its key.

    Args:
      keys: typed keys [batch].
      images: uint8 [batch, height, width, 3].
      flip: mirror an image with probability 1/2.
      colour: 'none', 'fast' (brightness and saturation) or 'full' (brightness,
        saturation, hue and contrast).
      pixel_range: the values to which 0 and 255 are mapped.

    Returns:
      float32 [batch, height, width, 3] in `pixel_range`.

    Raises:
      ValueError: `colour` is not one of these names.
    """
    choices.check('colour', colour, COLOURS)

    def augment_image(key: jax.Array, image: jax.Array) -> jax.Array:
        mirror, *draws = jax.random.uniform(key, (6,), jnp.float32)
        if flip:
            image = jnp.where(mirror < 0.5, image[:, ::-1], image)
        return _scale(COLOURS[colour](_unit(image), *draws), pixel_range)

    return jax.vmap(augment_image)(keys, images)


def _unit(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255


def _scale(image: jax.Array, pixel_range: tuple[float, float]) -> jax.Array:
    low, high = pixel_range
    return low + (high - low) * image


def _same(image: jax.Array, *draws: jax.Array) -> jax.Array:
    return image


def _fast(image: jax.Array, order, brightness, saturation, *draws) -> jax.Array:
    """Changes brightness and saturation; 1 of 4 images starts with brightness."""
    shift = _between(brightness, -BRIGHTNESS, BRIGHTNESS)
    first = order < 0.25
    image = image + jnp.where(first, shift, 0)
    image = saturate(image, _between(saturation, *SATURATION))
    return jnp.clip(image + jnp.where(first, 0, shift), 0, 1)


def _full(image, order, brightness, saturation, hue, contrast) -> jax.Array:
    """Applies one of the orders bshc, sbch, chbs and hscb, with equal probability.

    The letters stand for brightness, saturation, hue and contrast. A shift of
    brightness commutes with hue and contrast, so it is applied first (orders 0 and 2)
    or last (1 and 3). The other operations are subsequences of s, c, h, s, c. This
    takes five operations for every example; a switch under vmap would take sixteen.
    """
    order = jnp.floor(4 * order)
    shift = _between(brightness, -BRIGHTNESS, BRIGHTNESS)
    saturation = _between(saturation, *SATURATION)
    contrast = _between(contrast, *CONTRAST)

    def in_orders(a: int, b: int) -> jax.Array:
        return (order == a) | (order == b)

    image = image + jnp.where(in_orders(0, 2), shift, 0)
    image = jnp.where(in_orders(0, 1), saturate(image, saturation), image)
    image = jnp.where(in_orders(1, 2), adjust_contrast(image, contrast), image)
    image = rotate_hue(image, _between(hue, -HUE, HUE))
    image = jnp.where(in_orders(2, 3), saturate(image, saturation), image)
    image = jnp.where(in_orders(0, 3), adjust_contrast(image, contrast), image)
    return jnp.clip(image + jnp.where(in_orders(1, 3), shift, 0), 0, 1)


COLOURS = {'none': _same, 'fast': _fast, 'full': _full}


def saturate(image: jax.Array, factor: jax.Array) -> jax.Array:
    """Multiplies the saturation of HSV, clipped at 1 (tf.image.adjust_saturation).

    Hue and value do not change, because each channel keeps its share of the distance to
    the largest channel.
    """
    value, chroma = _value_and_chroma(image)
    full = value / jnp.where(chroma > 0, chroma, 1)
    # TensorFlow turns colours with a value of 0 or less into grey.
    share = jnp.where(value > 0, jnp.minimum(factor, full), 0)
    return value - (value - image) * share


def rotate_hue(image: jax.Array, turns: jax.Array) -> jax.Array:
    """Rotates the hue of HSV, not value and chroma (tf.image.adjust_hue)."""
    value, chroma = _value_and_chroma(image)
    red, green, blue = (image[..., channel, None] for channel in range(3))
    safe = jnp.where(chroma > 0, chroma, 1)
    sextant = jnp.where(
        value == red,
        (green - blue) / safe,
        jnp.where(value == green, 2 + (blue - red) / safe, 4 + (red - green) / safe),
    )
    steps = jnp.array([5, 3, 1], image.dtype).reshape((1,) * (image.ndim - 1) + (3,))
    place = (sextant + 6 * turns + steps) % 6
    return value - chroma * jnp.clip(jnp.minimum(place, 4 - place), 0, 1)


def adjust_contrast(image: jax.Array, factor: jax.Array) -> jax.Array:
    """Scales the distance of each channel to its mean (tf.image.adjust_contrast)."""
    mean = image.mean((-3, -2), keepdims=True)
    return mean + factor * (image - mean)


def _value_and_chroma(image: jax.Array) -> tuple[jax.Array, jax.Array]:
    value = image.max(-1, keepdims=True)
    return value, value - image.min(-1, keepdims=True)


def _between(draw: jax.Array, low: float, high: float) -> jax.Array:
    return low + (high - low) * draw
