"""Checks of a classifier's arguments before compilation, with errors of one line.

Without these checks, JAX would silently compute with most wrong arguments.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from inception_jax.networks.network import Network, check_network
from inception_jax.networks.shapes import check_image_size
from inception_jax.runtime.amounts import counted

DTYPES = ('float32', 'bfloat16')


def check_classifier(classifier: Any, *, train: bool) -> None:
    """Raises ValueError for an unsupported dtype, or training without a decay.

    Raises:
      TypeError: its network is not a network, such as a name.
    """
    check_network(classifier.network)
    name, dtype = classifier.network.name, jnp.dtype(classifier.dtype)
    if dtype.name not in DTYPES:
        raise ValueError(
            f'Classifier({name}) has dtype {dtype}; expected {" or ".join(DTYPES)}, '
            'because batch norm, pools and residual sums are computed in float32'
        )
    if train and classifier.batch_norm_decay is None:
        raise ValueError(
            f'Classifier({name}) trains without batch_norm_decay; set it, e.g. '
            'Classifier(network, batch_norm_decay=0.99)'
        )


def check_images(network: Network, x: jax.Array) -> None:
    """Raises ValueError unless x can be images [batch, height, width, 3]."""
    if x.ndim != 4 or x.shape[3] != 3:
        raise ValueError(
            f'images of the shape {[*x.shape]}; expected [batch, height, '
            'width, 3], channels last'
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        low, high = network.pixel_range
        raise ValueError(
            f'images of dtype {x.dtype}; expected floating-point images from {low:g} '
            f'to {high:g}: scale pixels from 0 to 255 with '
            f'{_scaling(low, high)}'
        )
    check_image_size(network, *x.shape[1:3])


def _scaling(low: float, high: float) -> str:
    """Returns the expression that maps pixels from 0 to 255 to a range."""
    product = f'images * ({high - low:g} / 255)'
    return f'{product} {"-" if low < 0 else "+"} {abs(low):g}' if low else product


def check_scales(network: str, scale: jax.Array, blocks: int) -> None:
    """Raises ValueError unless there is one finite scale, or one per residual block."""
    if scale.shape not in ((), (1,), (blocks,)):
        raise ValueError(
            f'residual scales of the shape {[*scale.shape]} for {network}; '
            f'give one number, or one for each of its {blocks} residual blocks'
        )
    if not (_is_traced(scale) or np.isfinite(scale).all()):
        raise ValueError(f'the residual scale is {scale}; expected finite numbers')


def check_dropout_rate(rate: jax.Array | float) -> None:
    """Raises ValueError unless the rate is a share from 0 to below 1."""
    if not (_is_traced(rate) or (np.ndim(rate) == 0 and 0 <= rate < 1)):
        raise ValueError(f'dropout_rate is {rate}; expected a share from 0 to below 1')


def check_dropout_keys(keys: jax.Array | None, examples: int) -> None:
    """Raises ValueError unless there is one key per example."""
    if keys is None:
        return
    is_typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    if keys.shape[:1] != (examples,) or keys.ndim != (1 if is_typed else 2):
        raise ValueError(
            f'dropout keys of the shape {[*keys.shape]} for '
            f'{counted(examples, "image")}; expected a key per image: '
            'jax.random.split(key, len(images))'
        )


def _is_traced(x: Any) -> bool:
    """Returns whether the numbers are known only when the program runs."""
    return isinstance(x, jax.core.Tracer)
