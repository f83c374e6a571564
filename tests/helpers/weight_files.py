"""Small files of weights in every format."""

import contextlib
import re
import sys
import types
import zipfile

import h5py
import numpy as np
import pytest
from helpers.tiny import NET
from helpers.variables import random_variables
from safetensors.numpy import save_file

from inception_jax.steps.by_block import without_blocks
from inception_jax.weights.files.open import open_arrays
from inception_jax.weights.weight_file import WeightInfo, write_weight_file

GENERATOR = np.random.default_rng(0)


ARRAYS = {
    'conv2d/kernel': GENERATOR.standard_normal((3, 3, 2, 4)).astype(np.float32),
    'conv2d/bias': GENERATOR.standard_normal(4).astype(np.float32),
}


def read(path):
    with open_arrays(path) as arrays:
        return {name: np.asarray(array) for name, array in arrays.items()}


def refused(path):
    """Returns why a file is refused, in one line that names it."""
    with pytest.raises(ValueError, match=re.escape(str(path))) as error:
        read(path)
    assert '\n' not in str(error.value)
    return str(error.value)


def write_h5(path, arrays):
    with h5py.File(path, 'w') as file:
        for place, array in arrays.items():
            file[place] = array
    return path


def write_by_number(path, **layers):
    """Writes the arrays of layers as a new Keras does."""
    with h5py.File(path, 'w') as file:
        for layer, arrays in layers.items():
            group = file.create_group(f'layers/functional/layers/{layer}_of_it/vars')
            group.attrs['name'] = layer
            for number, array in enumerate(arrays):
                group[str(number)] = array
        file['optimizer/vars/0'] = np.zeros(3)
    return path


def write_trunk(path):
    """Writes the tiny network without a head; returns its variables."""
    variables = {
        name: without_blocks(tree, ('logits',))
        for name, tree in random_variables(NET).items()
    }
    info = WeightInfo({'name': 'helpers.tiny:NET'}, (), None, {}, None)
    write_weight_file(path, info, variables)
    return variables


def write_zip(path, names, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, content in names.items():
            file.writestr(name, content)
    return path


def write_all(folder):
    """Writes a file of each kind that needs no other framework."""
    save_file(ARRAYS, folder / 'a.safetensors')
    write_h5(folder / 'a.h5', ARRAYS)
    write_by_number(folder / 'a.weights.h5', conv2d=ARRAYS.values())
    content = (folder / 'a.weights.h5').read_bytes()
    write_zip(folder / 'a.keras', {'config.json': '{}', 'model.weights.h5': content})


class Tensor:
    """A stand-in for a tensor of PyTorch where PyTorch is not installed."""

    def __init__(self, array):
        self.array, self.shape = array, array.shape
        self.dtype = f'torch.{array.dtype}'

    def detach(self):
        return self

    def double(self):
        return Tensor(self.array.astype(float))

    def numpy(self):
        return self.array

    layout = 'strided'


def install_torch(monkeypatch, content, version='2.14.1+cpu'):
    def load(path, *, map_location, weights_only):
        assert weights_only
        if isinstance(content, Exception):
            raise content
        return content

    module = types.ModuleType('torch')
    module.Tensor, module.load = Tensor, load
    module.serialization = types.SimpleNamespace(
        safe_globals=lambda kinds: contextlib.nullcontext()
    )
    module.strided, module.__version__ = 'strided', version
    monkeypatch.setitem(sys.modules, 'torch', module)
