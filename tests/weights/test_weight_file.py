"""Weight files of this package: reading, writing, and files that do not belong."""

import contextlib
import dataclasses
import json
import os
import re
import shutil

import jax
import numpy as np
import pytest
from helpers.variables import SHIFT, random_variables
from safetensors import SafetensorError

from inception_jax.networks import (
    Norm,
    Scale,
    chain,
    conv,
    expand,
    load,
    network,
    one,
    residual,
)
from inception_jax.networks.catalogue import choose
from inception_jax.weights import trained, weight_file
from inception_jax.weights.files import write

# A block with leaves of all kinds, and one without statistics.
BRANCH = chain(conv(4), expand(), Norm(relu=False), Scale(0.5, per_channel=True), SHIFT)
ODD = network(
    'odd',
    one('stem', conv(8, 3, 2)),
    one('a', residual(BRANCH, scale=0.3)),
    one('b', residual(conv(8, linear=True), scale=0.3)),
    classes=3,
    input_size=16,
)
BARE = network('bare', one('stem', conv(4, 3, linear=True)), classes=3, input_size=16)
CLASSES = ('ant', 'bee', 'cat')


def weight_info(name='helpers.tiny:NET', scales=None, **fields):
    return weight_file.WeightInfo(
        {'name': name, **fields}, CLASSES, scales, {'made': 'here'}, 'MIT'
    )


def save(path, name='helpers.tiny:NET', scales=None, **fields):
    """Writes random variables of a network, and returns them."""
    value = weight_info(name, scales, **fields)
    variables = random_variables(choose(**value.network, classes=len(CLASSES)))
    weight_file.write_weight_file(path, value, variables)
    return variables


@pytest.fixture
def path(tmp_path):
    save(tmp_path / 'a.safetensors', crop_fraction=0.5)
    return tmp_path / 'a.safetensors'


def refused(path, name='helpers.tiny:NET'):
    """Returns why a file is refused, in one line that names it or what is beside."""
    with pytest.raises(ValueError, match=re.escape(str(path.with_suffix('')))) as error:
        trained.load_weights(path, name)
    assert '\n' not in str(error.value)
    return str(error.value)


def change(path, section=None, **fields):
    """Changes the JSON beside a file, or a section of it."""
    info = json.loads(weight_file.info_path(path).read_text())
    (info[section] if section else info).update(fields)
    weight_file.info_path(path).write_text(json.dumps(info))


@pytest.mark.parametrize(
    'name', ['helpers.tiny:NET', f'{__name__}:ODD', f'{__name__}:BARE']
)
def test_variables_come_back_exactly(name, tmp_path):
    start = save(tmp_path / 'a.safetensors', name)
    loaded = trained.load_weights(tmp_path / 'a.safetensors', name)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, start)
    assert loaded.network == dataclasses.replace(load(name), classes=3)


def test_the_description_of_a_file_comes_back(path):
    info = weight_file.find_weights(path).info
    assert info.network['name'] == 'helpers.tiny:NET'
    assert info.network['crop_fraction'] == 0.5
    assert (info.classes, info.licence) == (CLASSES, 'MIT')
    assert info.residual_scale is None
    loaded = trained.load_weights(path, 'helpers.tiny:NET')
    np.testing.assert_array_equal(loaded.scales, np.full(2, 0.2, np.float32))
    assert loaded.network.crop_fraction == 0.5


def test_residual_scales_come_back(tmp_path):
    save(tmp_path / 'a.safetensors', scales=(0.25, 0.5))
    loaded = trained.load_weights(tmp_path / 'a.safetensors', 'helpers.tiny:NET')
    assert loaded.scales.tolist() == [0.25, 0.5]


@pytest.mark.parametrize(('mask', 'rights'), [(0o022, 0o644), (0o077, 0o600)])
def test_the_umask_decides_who_may_read_the_files(mask, rights, tmp_path):
    before = os.umask(mask)
    try:
        save(tmp_path / 'a.safetensors')
    finally:
        os.umask(before)
    assert {x.name: x.stat().st_mode & 0o777 for x in tmp_path.iterdir()} == {
        'a.safetensors': rights,
        'a.json': rights,
    }


def test_on_a_full_disk_nothing_is_left(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError('I/O error: No space left on device')

    monkeypatch.setattr(write.safetensors.numpy, 'save_file', full)
    with pytest.raises(OSError, match='No space left on device'):
        save(tmp_path / 'a.safetensors')
    assert list(tmp_path.iterdir()) == []


NOT_JSON = ('', '{', '[]', '3', '{}', '[' * 10**5, '\udcff')


@pytest.mark.parametrize('text', NOT_JSON, ids=range(len(NOT_JSON)))
def test_a_json_that_is_damaged_is_refused(text, path):
    weight_file.info_path(path).write_text(text, errors='surrogateescape')
    assert 'does not describe a weight file, or is damaged' in refused(path)


@pytest.mark.parametrize(
    ('section', 'fields'),
    [
        (None, {'classes': 3}),
        (None, {'network': 'tiny'}),
        (None, {'network': {}}),
        (None, {'preprocessing': {}}),
        ('preprocessing', {'pixel_range': 1}),
        ('preprocessing', {'pixel_range': [0, 1, 2]}),
        (None, {'residual_scale': 'high'}),
        (None, {'residual_scale': [0.1, float('nan')]}),
        ('network', {'width': 1e999}),
    ],
)
def test_a_json_with_values_of_another_kind_is_refused(section, fields, path):
    change(path, section, **fields)
    assert 'does not describe a weight file, or is damaged' in refused(path)


@pytest.mark.parametrize(
    'fields',
    [
        {'colour': 'red'},
        {'classes': 3},
        {'width': 'wide'},
        {'width': {'nowhere': 2}},
        {'rule': 'golden'},
        {'auxiliary': True},
        {'stages': 3},
    ],
)
def test_a_json_with_a_field_that_no_network_has_is_refused(fields, path):
    change(path, 'network', **fields)
    assert 'names no network (' in refused(path)


def test_a_json_of_a_network_that_is_not_known_is_refused(path):
    change(path, 'network', name='inception_v9')
    assert "names no network (unknown network 'inception_v9'" in refused(path, None)


def test_a_file_of_another_format_is_refused(path):
    change(path, format=2)
    assert 'was written by another version of inception_jax' in refused(path)


def test_as_many_residual_scales_as_blocks_are_needed(path):
    change(path, residual_scale=[0.1, 0.2, 0.3])
    assert 'has 3 residual scales; helpers.tiny:NET takes 2' in refused(path)


def test_a_network_that_is_code_must_be_named(path):
    change(path, 'network', name='os:system')
    assert 'which is code that would run; add --network os:sys' in refused(path, None)
    assert 'has weights of os:system, not of helpers.tiny:NET' in refused(path)
    assert "names no network ('os:system' is of type" in refused(path, 'os:system')


def test_a_network_that_has_changed_is_refused(path):
    change(path, 'network', width=2.0)
    assert 'another network today' in refused(path)
    change(path, 'network', width=1.0)
    change(path, fingerprint='0' * 12)
    assert 'another network today' in refused(path)


def test_one_of_both_files_is_not_enough(path):
    json_file = weight_file.info_path(path).rename(path.with_name('b.json'))
    assert 'a.json is missing, which describes a.safetensors' in refused(path)
    json_file.rename(weight_file.info_path(path))
    path.rename(path.with_name('b.safetensors'))
    assert 'does not exist' in refused(path)


def test_a_changed_byte_is_detected(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert 'its SHA-256 differs; download or make both again' in refused(path)


def test_the_file_of_another_is_found(path):
    save(path.with_name('b.safetensors'), 'helpers.tiny:PLAIN')
    shutil.copy(path.with_name('b.safetensors'), path)
    assert 'is not the file that a.json describes' in refused(path)


def test_a_file_with_other_arrays_than_its_network_is_refused(path):
    save(path.with_name('b.safetensors'), 'helpers.tiny:PLAIN')
    shutil.copy(path.with_name('b.safetensors'), path)
    change(path, sha256=weight_file.sha256(path))
    assert ' missing: params/a_1/' in refused(path)


@pytest.mark.parametrize('name', ['a.h5', 'a', 'a.json'])
def test_a_file_with_another_ending_is_none_of_ours(name, tmp_path):
    assert 'is not a weight file; expected FILE.safetensors' in refused(tmp_path / name)


def test_class_names_that_would_move_a_terminal_are_refused(path):
    info = json.loads(weight_file.info_path(path).read_text())
    info['classes'][0] = 'cat\x1b[2J'
    weight_file.info_path(path).write_text(json.dumps(info))
    assert 'does not describe a weight file' in refused(path)


ODD_VALUES = (None, -1, 10**400, 'x', [], [None], {}, {'x': []}, True, '\x1b[31m')


def places(tree, path=()):
    """Yields the path of each value in a JSON object."""
    for name, value in tree.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from places(value, (*path, name))


def test_a_json_with_any_odd_value_is_read_or_refused(path):
    original = json.loads(weight_file.info_path(path).read_text())
    for place in places(original):
        for value in ODD_VALUES:
            changed = json.loads(json.dumps(original))
            section = changed
            for name in place[:-1]:
                section = section[name]
            section[place[-1]] = value
            weight_file.info_path(path).write_text(json.dumps(changed))
            with contextlib.suppress(ValueError):
                file = weight_file.find_weights(path)
                weight_file.weight_network(file, 'helpers.tiny:NET')
                str(file)
