"""Arrays in files of weights: none is read before it fits, and only numbers are."""

import dataclasses
import zipfile

import h5py
import ml_dtypes
import numpy as np
import pytest
from helpers import narrow
from helpers.weight_files import (
    ARRAYS,
    install_torch,
    read,
    refused,
    write_all,
    write_h5,
    write_zip,
)
from safetensors.numpy import save_file

from inception_jax.__main__ import main
from inception_jax.weights.convert import read_layout_file
from inception_jax.weights.files.open import open_arrays
from inception_jax.weights.layouts.keras import KERAS
from inception_jax.weights.translation import ArrayEntry, read_variables

HUGE = (10**6, 10**5)


def refused_as_keras(path):
    with pytest.raises(ValueError, match=r'as helpers\.narrow:V3 of keras: ') as error:
        read_layout_file(path, 'keras', 'helpers.narrow:V3')
    return str(error.value).partition('of keras: ')[2]


def huge(file, name):
    file.create_dataset(name, HUGE, 'float32', chunks=(64, 64), compression='gzip')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('other/kernel', ' missing: '),
        ('conv2d/kernel', 'conv2d/kernel 1000000x100000, expected 3x3x3x3'),
        ('predictions/kernel', 'predictions/kernel would have 492,610,837 classes'),
    ],
)
def test_an_array_of_another_name_or_shape_is_never_read(name, message, tmp_path):
    with h5py.File(tmp_path / 'a.h5', 'w') as file:
        huge(file, name)
    with open_arrays(tmp_path / 'a.h5') as arrays:
        assert arrays[name].shape == HUGE
    assert message in refused_as_keras(tmp_path / 'a.h5')


def test_an_archive_that_grows_when_it_is_unpacked_is_refused(tmp_path, monkeypatch):
    names = {'model.weights.h5': bytes(10**7)}
    path = write_zip(tmp_path / 'a.keras', names, zipfile.ZIP_DEFLATED)
    assert 'bytes to 10,000,000; weights do not shrink' in refused(path)
    install_torch(monkeypatch, {'never': 'read'})
    names = {'a/data.pkl': bytes(10**7)}
    path = write_zip(tmp_path / 'a.pth', names, zipfile.ZIP_DEFLATED)
    assert 'bytes to 10,000,000; weights do not shrink' in refused(path)
    assert 'without weights' in refused(write_zip(tmp_path / 'b', {'a.txt': 'text'}))


def test_a_piece_of_an_array_is_not_far_larger_than_the_array(tmp_path):
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        options = {'maxshape': (None,), 'chunks': (10**7,), 'compression': 'gzip'}
        file.create_dataset('a/bias', (4,), 'f4', **options)[:] = 0
    assert 'holds a/bias in chunks that are larger than the array' in refused(path)


def test_an_h5_file_takes_nothing_from_another(tmp_path):
    other, path = tmp_path / 'other.h5', tmp_path / 'a.h5'
    write_h5(other, {'secret': ARRAYS['conv2d/bias']})
    links = {'a/bias': h5py.ExternalLink(str(other), '/secret')}
    assert read(write_h5(path, links | ARRAYS)).keys() == ARRAYS.keys()
    with h5py.File(path, 'w') as file:
        file.create_dataset('a/bias', (4,), 'f4', external=[(str(other), 0, 16)])
    assert 'takes a/bias from another file' in refused(path)
    layout = h5py.VirtualLayout((4,), 'f4')
    layout[:] = h5py.VirtualSource(str(other), 'secret', (4,))
    with h5py.File(path, 'w') as file:
        file.create_virtual_dataset('a/bias', layout)
    assert 'takes a/bias from another file' in refused(path)


def test_a_keras_file_without_layer_names_is_refused_with_a_remedy(tmp_path):
    path = write_h5(tmp_path / 'a.weights.h5', {'layers/conv2d/vars/0': np.ones(3)})
    assert 'save it as .h5 or with a newer Keras' in refused(path)


def test_two_arrays_of_one_name_are_refused(tmp_path):
    twice = {'a/kernel': np.ones(3), 'model_weights/a/a/kernel:0': np.ones(3)}
    message = 'has a/kernel twice, as a/kernel and as model_weights/a/a/kernel:0'
    assert refused(write_h5(tmp_path / 'a.h5', twice)).endswith(message)


def test_names_and_types_that_python_lacks_are_refused(tmp_path):
    path = write_h5(tmp_path / 'a.h5', {b'a/\xff': np.ones(3)})
    assert 'is cut short or damaged (' in refused(path)
    with h5py.File(path, 'w') as file:
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b'time', h5py.h5t.UNIX_D32LE, space)
    assert 'is cut short or damaged (' in refused(path)


def test_an_array_without_values_has_another_shape(tmp_path):
    path = write_h5(tmp_path / 'a.h5', {'conv2d/kernel': h5py.Empty('f4')})
    assert 'conv2d/kernel scalar, expected 3x3x3x3' in refused_as_keras(path)


def test_names_of_arrays_do_not_move_the_terminal(tmp_path, capsys):
    save_file({'\x1b[2J\x1b]0;title\x07\r\nred': np.ones(1)}, tmp_path / 'a')
    paths = [str(tmp_path / name) for name in ('a', 'b.safetensors')]
    assert main(['convert', *paths, '--from=timm', '--network=helpers.narrow:V4']) == 2
    printed = capsys.readouterr()
    assert printed.err.rstrip('\n').isprintable()
    assert printed.err.endswith('1 not expected: \\x1b[2J\\x1b]0;title\\x07 red\n')
    assert printed.out == ''


def entry(kind='bias'):
    path = ('batch_stats' if kind == 'var' else 'params', 'stem', 'conv0', kind)
    return ArrayEntry('x', path, (4,), (4,), (0,))


def values(array, path, kind='bias'):
    """Returns what the variables have of an array after it was in a file."""
    save_file({'x': array}, path)
    with open_arrays(path) as arrays:
        tree = read_variables(arrays, [entry(kind)], lambda name: False)
    return tree[entry(kind).path[0]]['stem']['conv0'][kind]


@pytest.mark.parametrize('dtype', ['float16', ml_dtypes.bfloat16, 'float32', 'float64'])
def test_floats_of_any_width_become_float32(dtype, tmp_path):
    array = np.array([0.0, -1.5, 2.0**-10, 96.0]).astype(dtype)
    floats = values(array, tmp_path / 'x')
    np.testing.assert_array_equal(floats, array.astype(np.float32), strict=True)


@pytest.mark.parametrize('wrong', [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_not_finite_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=r'^1 not finite, .* below 0: x$'):
        values(np.array([0, 1, wrong, 2]), tmp_path / 'x')


def test_a_variance_is_0_or_more(tmp_path):
    assert values(np.zeros(4), tmp_path / 'x', 'var').tolist() == 4 * [0.0]
    with pytest.raises(ValueError, match=r'or a variance below 0: x$'):
        values(np.array([0, 1, -1e-9, 2]), tmp_path / 'x', 'var')


@pytest.mark.parametrize('dtype', ['int32', 'uint8', 'bool', 'int64'])
def test_whole_numbers_are_no_weights(dtype, tmp_path):
    with pytest.raises(ValueError, match=r'^1 of another type: x .*, expected'):
        values(np.ones(4, dtype), tmp_path / 'x')


@pytest.mark.parametrize('wrong', [b'text', 3, 1j])
def test_values_of_an_h5_file_that_are_no_numbers_are_refused(wrong, tmp_path):
    net = dataclasses.replace(narrow.V3, auxiliary=None)
    shapes = {spec.name: spec.shape for spec in KERAS.entries(net)}
    arrays = {name: np.full(shape, wrong) for name, shape in shapes.items()}
    message = refused_as_keras(write_h5(tmp_path / 'a.h5', arrays))
    assert message.startswith(f'{len(shapes)} of another type: conv2d/kernel ')


def test_a_damaged_array_is_refused_when_it_is_read(tmp_path):
    path = tmp_path / 'a.h5'
    with h5py.File(path, 'w') as file:
        array = np.arange(10**4) % 99
        file.create_dataset('a/bias', data=array, compression='gzip', fletcher32=True)
    content = bytearray(path.read_bytes())
    content[-100] ^= 255
    path.write_bytes(content)
    assert 'cannot be read (' in refused(path)


def test_a_wrong_byte_of_an_archive_is_detected(tmp_path):
    write_all(tmp_path)
    content = bytearray((tmp_path / 'a.keras').read_bytes())
    content[content.index(ARRAYS['conv2d/bias'].tobytes())] ^= 1
    (tmp_path / 'a.keras').write_bytes(content)
    assert 'is cut short or damaged (Bad CRC-32' in refused(tmp_path / 'a.keras')


def flag(content, at, value):
    """Changes a byte of the last entry of an archive's list."""
    place = content.rindex(b'PK\x01\x02') + at
    return content[:place] + bytes([value]) + content[place + 1 :]


# The version that it needs, whether it is encrypted, and how it is packed.
@pytest.mark.parametrize(('at', 'value'), [(6, 99), (8, 1), (8, 32), (10, 77)])
def test_an_archive_that_cannot_be_unpacked_is_one_line(at, value, tmp_path):
    write_all(tmp_path)
    path = tmp_path / 'a.keras'
    path.write_bytes(flag(path.read_bytes(), at, value))
    assert 'is cut short or damaged (' in refused(path)
