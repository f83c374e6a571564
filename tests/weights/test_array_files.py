"""Files of weights: each kind gives what was written, and a wrong one is one line."""

import gzip
import io
import json
import pickle
import struct
import sys
import tarfile
import types

import numpy as np
import pytest
from helpers.weight_files import (
    ARRAYS,
    GENERATOR,
    Tensor,
    install_torch,
    read,
    refused,
    write_all,
    write_by_number,
    write_h5,
    write_zip,
)
from safetensors.numpy import save_file

from inception_jax.weights.files.open import TABLE, file_parts, open_arrays
from inception_jax.weights.files.torch import OLD

NORM = {
    f'norm/{name}': GENERATOR.uniform(0.5, 1.5, 4).astype(np.float32)
    for name in ('gamma', 'beta', 'moving_mean', 'moving_variance')
}


def same(actual, expected):
    assert list(actual) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array, strict=True)


KINDS = ('a.safetensors', 'a.h5', 'a.weights.h5', 'a.keras')


@pytest.mark.parametrize('name', KINDS)
def test_a_file_gives_the_arrays_that_were_written(name, tmp_path):
    write_all(tmp_path)
    arrays = read((tmp_path / name).rename(tmp_path / 'any name'))
    same(dict(sorted(arrays.items())), dict(sorted(ARRAYS.items())))


@pytest.mark.parametrize('begins', [b'\x80\x04', b'\x1f\x8b', TABLE[:2]])
def test_a_head_of_safetensors_may_begin_as_other_files_do(begins, tmp_path):
    save_file(ARRAYS, path := tmp_path / 'a')
    content = path.read_bytes()
    head, rest = content[8 : (end := 8 + content[0])], content[end:]
    # Spaces may fill it up to any length.
    head = head.ljust(length := int.from_bytes(begins, 'little'))
    path.write_bytes(struct.pack('<Q', length) + head + rest)
    assert path.read_bytes().startswith(begins)
    same(read(path), dict(sorted(ARRAYS.items())))


@pytest.mark.parametrize(
    'spelling', ['model_weights/{0}/{0}/{1}:0', '{0}/{0}/{1}', '{0}/{0}/{0}/{1}:0']
)
def test_keras_spells_an_array_in_several_ways(spelling, tmp_path):
    arrays = {spelling.format(*name.split('/')): x for name, x in ARRAYS.items()}
    arrays['optimizer_weights/Adam/conv2d/kernel:0'] = np.zeros(3)
    loaded = read(write_h5(tmp_path / 'a.h5', arrays))
    same(loaded, {name: ARRAYS[name] for name in loaded})
    assert len(loaded) == 2


@pytest.mark.parametrize('first', [0, 1])
def test_keras_numbers_the_arrays_of_a_batch_norm(first, tmp_path):
    names = list(NORM)[first:]
    path = write_by_number(tmp_path / 'a', norm=[NORM[name] for name in names])
    same(read(path), {name: NORM[name] for name in names})


def test_a_pytorch_that_may_run_code_is_not_used(tmp_path, monkeypatch):
    install_torch(monkeypatch, {}, version='2.5.1')
    assert 'install 2.6 or newer' in refused(write_pth(tmp_path / 'a.pth'))


def write_pth(path):
    return write_zip(path, {'archive/data.pkl': b'', 'archive/data/0': b'1234'})


@pytest.mark.parametrize('levels', [(), ('state_dict',), ('ema', 'model')])
def test_a_file_of_pytorch_gives_its_arrays_by_name(levels, tmp_path, monkeypatch):
    state = {name: Tensor(x) for name, x in ARRAYS.items()}
    for level in reversed(levels):
        state = {'epoch': 3, 'args': object(), level: state, 'slots': {0: 1}}
    install_torch(monkeypatch, state)
    expected = {'.'.join((*levels, name)): x for name, x in ARRAYS.items()}
    with open_arrays(write_pth(tmp_path / 'a.pth')) as arrays:
        assert {x.dtype for x in arrays.values()} == {'float32'}
        same({name: np.asarray(x, np.float32) for name, x in arrays.items()}, expected)
    (tmp_path / 'old').write_bytes(OLD)
    assert list(read(tmp_path / 'old')) == list(expected)


def test_a_state_dict_that_holds_itself_ends(tmp_path, monkeypatch):
    state = {'a': Tensor(np.ones(1))}
    state['self'] = state
    install_torch(monkeypatch, state)
    assert len(read(write_pth(tmp_path / 'a.pth'))) == 4


@pytest.mark.parametrize(
    'content', [{}, [], 3, {'state_dict': 3}, {'a': 3}, {3: Tensor(np.ones(1))}]
)
def test_a_file_without_a_state_dict_is_refused(content, tmp_path, monkeypatch):
    install_torch(monkeypatch, content)
    assert 'no state dict' in refused(write_pth(tmp_path / 'a.pth'))


@pytest.mark.parametrize('error', [EOFError(), RuntimeError('bad\nand details')])
def test_an_error_of_pytorch_about_a_damaged_file_is_one_line(
    error, tmp_path, monkeypatch
):
    install_torch(monkeypatch, error)
    assert 'more than arrays by name' in refused(write_pth(tmp_path / 'a.pth'))


def test_an_object_in_a_file_of_pytorch_is_named_with_a_way_out(tmp_path, monkeypatch):
    message = (
        'Weights only load failed. \x1b[1mIn PyTorch 2.6\x1b[0m, we changed\n'
        'WeightsUnpickler error: Unsupported global: GLOBAL my_lab.options.Options was'
    )
    install_torch(monkeypatch, RuntimeError(message))
    printed = refused(write_pth(tmp_path / 'a.pth'))
    assert 'a my_lab.options.Options, whose loading could run code' in printed
    assert "torch.save(torch.load(FILE, weights_only=False)['state_dict']" in printed
    assert '\x1b' not in printed
    assert 'PyTorch 2.6' not in printed


@pytest.mark.parametrize(
    'place', ['inception_v3/{0}/{1}:0', 'model_weights/v3/{0}/{1}']
)
def test_a_network_inside_another_model_of_keras_keeps_its_names(place, tmp_path):
    arrays = {place.format(*name.split('/')): x for name, x in ARRAYS.items()}
    arrays['model_weights/dense/dense/kernel:0'] = np.zeros((4, 5), np.float32)
    assert set(read(write_h5(tmp_path / 'a.h5', arrays))) == {*ARRAYS, 'dense/kernel'}


def write_index(folder, **changes):
    names = {name: f'part-{i}.safetensors' for i, name in enumerate(ARRAYS)}
    for name, file in names.items():
        save_file({name: ARRAYS[name]}, folder / file)
    path = folder / 'a.safetensors.index.json'
    path.write_text(json.dumps({'metadata': {}, 'weight_map': names | changes}))
    return path


def test_several_files_of_safetensors_are_named_by_their_index(tmp_path):
    path = write_index(tmp_path)
    assert read(path).keys() == ARRAYS.keys()
    same(read(path), {name: ARRAYS[name] for name in read(path)})
    parts = ['a.safetensors.index.json', 'part-0.safetensors', 'part-1.safetensors']
    assert [part.name for part in file_parts(path)] == parts


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'x': 'none.safetensors'}, 'names the file none.safetensors, which is not'),
        ({'x': '../part-0.safetensors'}, 'names a file in another folder'),
        ({'x': 3}, 'names a file in another folder'),
        (
            {'x': 'part-0.safetensors'},
            'lists the array x in part-0.safetensors, which',
        ),
    ],
)
def test_an_index_that_its_files_do_not_fit_is_refused(changes, message, tmp_path):
    assert message in refused(write_index(tmp_path, **changes))


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"weight_map": 3}', 2000 * '['])
def test_an_index_that_is_damaged_is_refused(content, tmp_path):
    path = write_index(tmp_path)
    path.write_text(content)
    assert 'is cut short or damaged' in refused(path)


def install_tensorflow(monkeypatch, prefixes, fault=None):
    class OpError(Exception):
        pass

    def get_tensor(name):
        if fault:
            raise OpError(fault)
        return ARRAYS[name]

    def load_checkpoint(prefix):
        prefixes.append(prefix)
        return types.SimpleNamespace(
            get_variable_to_shape_map=lambda: {
                n: list(ARRAYS[n].shape) for n in ARRAYS
            },
            get_variable_to_dtype_map=lambda: {n: ARRAYS[n].dtype for n in ARRAYS},
            get_tensor=get_tensor,
        )

    module = types.ModuleType('tensorflow')
    module.errors = types.SimpleNamespace(OpError=OpError)
    module.train = types.SimpleNamespace(load_checkpoint=load_checkpoint)
    monkeypatch.setitem(sys.modules, 'tensorflow', module)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')


def write_checkpoint(folder):
    (folder / 'x.ckpt.index').write_bytes(b'index' + TABLE)
    (folder / 'x.ckpt.data-00000-of-00001').write_bytes(b'data')
    (folder / 'one.ckpt').write_bytes(b'all' + TABLE)


@pytest.mark.parametrize('name', ['x.ckpt', 'x.ckpt.index', 'one.ckpt'])
def test_a_checkpoint_of_tensorflow_is_named_in_three_ways(name, tmp_path, monkeypatch):
    write_checkpoint(tmp_path)
    install_tensorflow(monkeypatch, prefixes := [])
    same(read(tmp_path / name), ARRAYS)
    assert prefixes == [str(tmp_path / name.removesuffix('.index'))]


def test_a_checkpoint_that_shows_its_damage_late_is_one_line(tmp_path, monkeypatch):
    write_checkpoint(tmp_path)
    install_tensorflow(monkeypatch, [], fault='checksum does not match\nin block 3')
    assert '(checksum does not match)' in refused(tmp_path / 'one.ckpt')


@pytest.mark.parametrize('name', ['torch', 'tensorflow'])
def test_a_framework_that_is_not_installed_is_named(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setenv('TF_CPP_MIN_LOG_LEVEL', '3')
    write_checkpoint(tmp_path)
    path = write_pth(tmp_path / 'a.pth') if name == 'torch' else tmp_path / 'one.ckpt'
    assert f'is not installed: pip install {name}' in refused(path)


def tar(folder, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        file.add(folder / 'a.h5', 'a.h5')
    return buffer.getvalue()


NONE = {
    'empty': (lambda _: b'', 'is not a file of weights; expected .safetensors, .h5, '),
    'a text': (lambda _: b'no weights\n' * 99, 'is not a file of weights'),
    'a page': (lambda _: b'<!DOCTYPE html><html>', 'is not a file of weights'),
    'a head too long': (lambda _: struct.pack('<Q', 1 << 40) + b'{}', 'damaged'),
    'a head beyond': (lambda _: struct.pack('<Q', 1000) + b'{}', 'damaged'),
    'a pickle': (lambda _: pickle.dumps({}, 2), 'which can run any code'),
    'a new pickle': (lambda _: pickle.dumps({}, 4), 'which can run any code'),
    'a tar': (lambda folder: tar(folder, 'w'), 'is an archive; unpack it'),
    'a tar.gz': (lambda folder: tar(folder, 'w:gz'), 'is an archive; unpack it'),
    'a gz': (lambda _: gzip.compress(b'weights'), 'is an archive; unpack it'),
}


@pytest.mark.parametrize('name', NONE)
def test_a_file_that_holds_no_weights_is_refused(name, tmp_path):
    content, message = NONE[name]
    write_all(tmp_path)
    (tmp_path / 'x').write_bytes(content(tmp_path))
    assert message in refused(tmp_path / 'x')


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    assert 'does not exist' in refused(tmp_path / 'x.h5')
    assert 'is a folder; name a file in it' in refused(tmp_path)
    assert 'is a folder' in refused(type(tmp_path)('.'))


@pytest.mark.parametrize('name', KINDS)
def test_a_file_that_was_cut_short_is_refused(name, tmp_path):
    write_all(tmp_path)
    content = (tmp_path / name).read_bytes()
    for share in (0.99, 0.5, 0.1):
        (tmp_path / 'x').write_bytes(content[: int(share * len(content))])
        assert 'is cut short or damaged (' in refused(tmp_path / 'x')
