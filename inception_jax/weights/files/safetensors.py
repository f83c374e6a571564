"""Files of safetensors, whose header has all shapes and accounts for every byte."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inception_jax.weights.files.errors import damage_as_not_weights
from inception_jax.weights.files.lazy_array import LazyArray


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a file; see `open_arrays`."""
    with damage_as_not_weights(SafetensorError), safe_open(path, 'numpy') as file:
        yield {name: _lazy(file, name) for name in file.keys()}  # noqa: SIM118


def _lazy(file, name: str) -> LazyArray:
    view = file.get_slice(name)
    types = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16'}
    dtype = types.get(view.get_dtype(), view.get_dtype())
    return LazyArray(
        tuple(view.get_shape()), dtype, functools.partial(file.get_tensor, name)
    )
