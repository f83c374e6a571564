"""Files of safetensors, whose header has all shapes and accounts for every byte.

A large state dict is several files with an index, FILE.safetensors.index.json.
"""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open

from inception_jax.runtime.json_files import parse_json
from inception_jax.weights.files.errors import NotWeights, damage_as_not_weights
from inception_jax.weights.files.lazy_array import LazyArray

INDEX = '.safetensors.index.json'


@contextlib.contextmanager
def open_safetensors(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a file; see `open_arrays`."""
    with damage_as_not_weights(SafetensorError), safe_open(path, 'numpy') as file:
        yield {name: _lazy(file, name) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def open_index(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of the files that an index names; see `open_arrays`."""
    files = index_files(path)
    with contextlib.ExitStack() as stack:
        arrays = {}
        for name, names in files.items():
            part = path.with_name(name)
            if not part.is_file():
                raise NotWeights(f'names the file {name}, which is not beside it')
            inside = stack.enter_context(open_safetensors(part))
            if missing := names - set(inside):
                raise NotWeights(
                    f'lists the array {min(missing)} in {name}, which lacks it'
                )
            arrays |= {array: inside[array] for array in sorted(names)}
        yield arrays


def index_files(path: Path) -> dict[str, set[str]]:
    """Returns the names of the arrays in each file that an index names."""
    with damage_as_not_weights(ValueError, KeyError, TypeError, AttributeError):
        files: dict[str, set[str]] = {}
        for array, name in parse_json(path.read_bytes())['weight_map'].items():
            if not isinstance(name, str) or name != Path(name).name:
                raise NotWeights('names a file in another folder')
            files.setdefault(name, set()).add(array)
        return files


def _lazy(file, name: str) -> LazyArray:
    view = file.get_slice(name)
    types = {'F64': 'float64', 'F32': 'float32', 'F16': 'float16', 'BF16': 'bfloat16'}
    dtype = types.get(view.get_dtype(), view.get_dtype())
    return LazyArray(
        tuple(view.get_shape()), dtype, functools.partial(file.get_tensor, name)
    )
