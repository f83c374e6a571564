"""Files of safetensors, whose head tells all shapes and must account for every byte."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inception_jax.weights.files.errors import damaged
from inception_jax.weights.files.lazy_array import LazyArray


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a file; see `files.opened`."""
    with damaged(SafetensorError), safe_open(path, 'numpy') as file:
        yield {name: _stored(file, name) for name in file.keys()}  # noqa: SIM118


def _stored(file, name: str) -> LazyArray:
    one = file.get_slice(name)
    kind = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16'}
    dtype = kind.get(one.get_dtype(), one.get_dtype())
    return LazyArray(
        tuple(one.get_shape()), dtype, functools.partial(file.get_tensor, name)
    )
