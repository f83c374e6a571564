"""Checkpoints of TensorFlow, in one file or several, read by TensorFlow."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from inception_jax.weights.files.errors import NotWeights, damage_as_not_weights
from inception_jax.weights.files.lazy_array import LazyArray


@contextlib.contextmanager
def open_tensorflow(path: Path) -> Iterator[dict[str, LazyArray]]:
    """Yields the arrays of a checkpoint; see `open_arrays`."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    try:
        import tensorflow
    except ImportError as error:
        raise NotWeights(
            'is a checkpoint of TensorFlow, which is not installed: pip install '
            'tensorflow; only such files need it'
        ) from error
    # TensorFlow names several files by their common prefix.
    prefix = path.with_suffix('') if path.suffix == '.index' else path
    op_error = tensorflow.errors.OpError
    with damage_as_not_weights(op_error, ValueError):
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
    with damage_as_not_weights(op_error):
        yield arrays
