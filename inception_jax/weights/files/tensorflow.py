"""Checkpoints of TensorFlow, of one file or of several, read by TensorFlow."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from inception_jax.weights.files.errors import NotWeights, damaged
from inception_jax.weights.files.lazy_array import LazyArray


@contextlib.contextmanager
def opened(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a checkpoint; see `files.opened`."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    try:
        import tensorflow
    except ImportError as error:
        raise NotWeights(
            'is a checkpoint of TensorFlow, which is not installed: pip install '
            'tensorflow; it is needed for this file alone'
        ) from error
    # One of several files is named by what they have in common.
    prefix = path.with_suffix('') if path.suffix == '.index' else path
    fault = tensorflow.errors.OpError
    with damaged(fault, ValueError):
        reader = tensorflow.train.load_checkpoint(str(prefix))
        types = reader.get_variable_to_dtype_map()
        arrays = {
            name: LazyArray(
                tuple(shape),
                types[name].name,
                functools.partial(reader.get_tensor, name),
            )
            for name, shape in reader.get_variable_to_shape_map().items()
        }
    with damaged(fault):
        yield arrays
