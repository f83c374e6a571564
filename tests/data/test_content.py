import shutil

import numpy as np
import pytest
from PIL import Image

from inception_jax.data import content
from inception_jax.data.content import (
    source_difference,
    source_identity,
)
from inception_jax.data.sources.arrays import Arrays
from inception_jax.data.sources.open import open_source


@pytest.fixture
def folder(tmp_path):
    """Two classes of two PNGs, which all have the same size in bytes."""
    for number, name in enumerate(('ant/a', 'ant/b', 'bee/a', 'bee/b')):
        path = tmp_path / 'images' / f'{name}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (60 * number, 7, 7)).save(path, compress_level=0)
    return tmp_path / 'images'


def identity(folder):
    return source_identity(open_source(f'folder:{folder}', None))


def test_a_source_that_moves_keeps_its_identity(folder, tmp_path):
    before = identity(folder)
    assert identity(shutil.copytree(folder, tmp_path / 'elsewhere')) == before
    assert source_difference(before, before) == ''


def test_another_image_of_the_same_size_in_bytes_is_noticed(folder):
    before = identity(folder)
    size = (folder / 'ant' / 'a.png').stat().st_size
    shutil.copy(folder / 'bee' / 'b.png', folder / 'ant' / 'a.png')
    assert (folder / 'ant' / 'a.png').stat().st_size == size
    difference = source_difference(before, identity(folder))
    assert difference == 'the content of images differs'


def test_renamed_images_are_noticed(folder):
    before = identity(folder)
    (folder / 'ant' / 'a.png').rename(folder / 'ant' / 'c.png')
    difference = source_difference(before, identity(folder))
    assert difference == 'the ids or labels of images differ'


def test_relabelled_images_are_noticed(folder):
    before = identity(folder)
    (folder / 'ant' / 'a.png').rename(folder / 'bee' / 'c.png')
    assert 'labels' in source_difference(before, identity(folder))


def test_other_numbers_are_named(folder):
    before = identity(folder)
    (folder / 'ant' / 'a.png').unlink()
    difference = source_difference(before, identity(folder))
    assert difference == '4 images then, 3 images now'


def test_another_number_of_classes_is_named(folder):
    before = identity(folder)
    shutil.rmtree(folder / 'bee')
    difference = source_difference(before, identity(folder))
    assert difference == '4 images of 2 classes then, 2 images of 1 class now'


def test_digests_are_printed_only_if_the_names_of_classes_differ(folder):
    before = identity(folder)
    (folder / 'bee').rename(folder / 'cat')
    now = identity(folder)
    digests = before['class_names'], now['class_names']
    expected = 'the names of classes differ (digest {} then, {} now)'.format(*digests)
    assert source_difference(before, now) == expected


def test_changed_labels_of_arrays_are_noticed_beyond_the_sample(monkeypatch):
    monkeypatch.setattr(content, 'SAMPLED', 2)
    images, names = np.zeros((9, 4, 4), np.uint8), ('ant', 'bee')
    ids = tuple(map(str, range(9)))
    before, now = (
        source_identity(Arrays(images, np.eye(9, dtype=int)[row], ids, names))
        for row in (3, 4)
    )
    assert before['content'] == now['content']
    assert source_difference(before, now) == 'the ids or labels of images differ'


def test_splits_of_synthetic_images_differ():
    train, test = (open_source('synthetic:6/2', split) for split in ('train', 'test'))
    assert source_difference(source_identity(train), source_identity(test))


def test_an_image_that_cannot_be_read_does_not_prevent_an_identity(folder):
    before = identity(folder)
    (folder / 'ant' / 'a.png').unlink()
    (folder / 'ant' / 'a.png').symlink_to('nowhere.png')
    assert source_difference(before, identity(folder))


def test_an_identity_of_an_older_version_is_compared_by_what_it_has():
    now = source_identity(open_source('synthetic:6/2', 'train'))
    older = {key: now[key] for key in ('images', 'classes', 'class_names')}
    assert source_difference(older, now) == ''
    assert source_difference(older | {'images': 7}, now).startswith('7 images')
