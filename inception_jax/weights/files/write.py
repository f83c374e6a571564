"""Writes files in the layouts of other libraries, which their own code reads."""

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from inception_jax.runtime.files import write_atomically


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays by name, as .safetensors or, for Keras, as .h5.

    Raises:
      OSError: the file cannot be written.
    """
    save = write_safetensors if path.suffix == '.safetensors' else _write_h5
    with write_atomically(path) as draft:
        save(draft, arrays)


def write_safetensors(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays to a file with the permissions of the user's umask.

    The files that safetensors itself creates are readable for their owner only.

    Raises:
      OSError: the file cannot be written.
    """
    path.touch()
    mode = path.stat().st_mode
    try:
        safetensors.numpy.save_file(dict(arrays), path)
    except SafetensorError as error:
        raise OSError(str(error)) from error
    path.chmod(mode)


def check_layout_ending(path: Path, layout: str) -> None:
    """Raises ValueError unless the layout can be written to a file of this suffix."""
    endings = ('.safetensors', '.h5') if layout == 'keras' else ('.safetensors',)
    if path.suffix not in endings or path.name.endswith('.weights.h5'):
        expected = ' or '.join(f'FILE{ending}' for ending in endings)
        raise ValueError(f'{path} cannot be a file of {layout}; expected {expected}')


def _write_h5(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes arrays named layer/array for `Model.load_weights(by_name=True)`."""
    layers: dict[str, list[str]] = {}
    for name in arrays:
        layers.setdefault(name.partition('/')[0], []).append(name)
    with h5py.File(path, 'w') as file:
        file.attrs['layer_names'] = list(layers)
        for layer, names in layers.items():
            group = file.create_group(layer)
            group.attrs['weight_names'] = names
            for name in names:
                group[name] = arrays[name]
