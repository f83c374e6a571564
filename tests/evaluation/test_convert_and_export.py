"""convert and export as a Python user calls them."""

import numpy as np
import pytest
from helpers import tiny
from helpers.conversions import made
from helpers.variables import random_variables
from safetensors.numpy import load_file, save_file

from inception_jax.evaluation import convert_and_export
from inception_jax.evaluation.convert_and_export import convert, export
from inception_jax.weights.trained import load_weights
from inception_jax.weights.weight_file import save_weights

TIMM = {'layout': 'timm', 'network': 'helpers.narrow:V4'}


@pytest.fixture
def foreign(tmp_path):
    save_file(made('timm', 'V4')[1], path := tmp_path / 'timm.safetensors')
    return path


@pytest.fixture
def ours(tmp_path):
    variables = random_variables(tiny.NET)
    return save_weights(tmp_path / 'ours.safetensors', 'helpers.tiny:NET', variables)


def test_a_layout_is_converted_to_a_weight_file_and_back(foreign, tmp_path):
    ours = convert(foreign, tmp_path / 'ours.safetensors', **TIMM, licence='MIT')
    assert 'licence         MIT' in str(ours)
    back = convert(
        str(ours.path),
        str(tmp_path / 'back.safetensors'),
        to='timm',
        network='helpers.narrow:V4',
    )
    arrays = load_file(foreign)
    assert f': {len(arrays):,} arrays by the names of timm\n' in str(back)
    for name, array in load_file(back.path).items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'layout': 'tim', 'network': 'inception_v4'}, "layout 'tim' is none of slim"),
        (TIMM | {'to': 'timm'}, 'of the input .* or of the output .*, not both'),
        ({'class_names': ['a']}, 'class_names goes with the layout of the input'),
        (TIMM | {'class_names': 'abcda'}, 'names a twice; classes need distinct names'),
        ({'network': 'inception_v4'}, 'is not the folder of a run; give the layout'),
    ],
)
def test_options_that_are_wrong_are_refused(options, message, foreign, tmp_path):
    with pytest.raises(ValueError, match=message):
        convert(foreign, tmp_path / 'ours.safetensors', **options)
    assert list(tmp_path.iterdir()) == [foreign]


def test_an_input_that_cannot_be_read_is_a_mistake(ours, tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(convert_and_export, 'load_weights', refuse)
    with pytest.raises(ValueError, match=r'cannot be read \(Permission denied\)'):
        convert(ours.path, tmp_path / 'slim.safetensors', to='slim')


def test_a_file_and_a_value_are_exported_alike(ours, tmp_path):
    options = {'platforms': ['cpu'], 'folded': True}
    name = 'helpers.tiny:NET'
    first = export(str(ours.path), str(tmp_path / '1.npz'), network=name, **options)
    second = export(load_weights(ours.path, name), tmp_path / '2.npz', **options)
    assert 'network   tiny, folded' in str(first)
    assert repr(first) == f'Export(tiny, {len(first.weights)} arrays)'
    assert first.metadata == second.metadata
    with np.load(tmp_path / '1.npz') as file, np.load(tmp_path / '2.npz') as other:
        assert file.files == other.files
    with pytest.raises(ValueError, match=r'1\.npz exists already'):
        export(ours.path, tmp_path / '1.npz', network=name)
