"""Class folders: which files are images, which are ignored, and parts of a split."""

import os
import sys
from collections import Counter

import pytest
from hostile.folders import TREES, build

from inception_jax.data.sources.files import find_image_files
from inception_jax.data.sources.folder import open_folder
from inception_jax.data.sources.part import parse_part, part_indices


def open_tree(folder, paths, split=None):
    build(folder, paths)
    return open_folder(str(folder), split)


@pytest.mark.parametrize('name', TREES)
def test_a_folder_tree_has_the_images_of_its_classes_and_no_others(name, tmp_path):
    tree = TREES[name]
    build(tmp_path / 'train', tree.paths)
    if tree.refusal:
        with pytest.raises(ValueError, match=tree.refusal) as error:
            open_folder(str(tmp_path), 'train')
        assert '\n' not in str(error.value)
        return
    source = open_folder(str(tmp_path), 'train')
    labels = [source.class_names[label] for label in source.labels]
    assert list(zip(source.files, labels, strict=True)) == list(tree.images)
    assert dict(source.ignored) == tree.ignored
    for index in range(len(source)):
        source[index].id.encode()


@pytest.mark.parametrize('name', [name for name in TREES if not TREES[name].refusal])
def test_the_images_of_a_folder_are_found_at_any_depth_and_once(name, tmp_path):
    build(tmp_path, TREES[name].paths)
    paths = find_image_files([tmp_path])
    assert len(paths) == len({os.path.realpath(path) for path in paths})
    assert not any('/.' in path.removeprefix(str(tmp_path)) for path in paths)


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    build(tmp_path, ['ant/1.png', 'bee/deep/2.png'])
    scandir = os.scandir

    def scan(folder):
        if str(folder).rstrip('/').endswith('deep'):
            raise PermissionError(13, 'Permission denied', str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', scan)
    with pytest.raises(ValueError, match=r'bee/deep.* cannot be read \(Permission'):
        open_folder(str(tmp_path), None)


def test_a_note_counts_the_files_that_are_ignored(tmp_path):
    source = open_tree(
        tmp_path, ['ant/1.png', 'ant/2.heic', 'bee/3.HEIC', 'bee/README', '0.png']
    )
    kinds = '.heic 2, image in no class folder 1, no extension 1'
    assert source.notes == (f'{tmp_path}: ignored 4 files ({kinds})',)


@pytest.mark.parametrize(
    ('names', 'noted'),
    [(('0', '1', '10', '2'), True), (('0', '1', '2'), False), (('00', '10'), False)],
)
def test_a_note_says_where_numbers_are_in_the_order_of_text(names, noted, tmp_path):
    source = open_tree(tmp_path, [f'{name}/1.png' for name in names])
    assert source.class_names == names
    assert any('folder 10 is class 2' in note for note in source.notes) == noted


@pytest.mark.skipif(sys.platform == 'darwin', reason='names are UTF-8 there')
def test_a_name_that_is_not_utf_8_is_read_and_printed(tmp_path):
    folder = os.fsencode(tmp_path) + b'/b\xff'
    os.mkdir(folder)
    with open(folder + b'/\xe9.png', 'wb') as file:
        file.write(b'x')
    source = open_folder(str(tmp_path), None)
    assert (source.class_names, source[0]) == (
        ('b\\xff',),
        (b'x', 0, 'b\\xff/\\xe9.png'),
    )


def test_parts_of_a_split_have_their_share_of_every_class(tmp_path):
    paths = [f'train/{name}/{i}.png' for name, n in SIZES.items() for i in range(n)]
    build(tmp_path, paths)
    first, last = (
        open_folder(str(tmp_path), f'train[{part}]') for part in (':80%', '80%:')
    )
    assert Counter(first.labels) == {0: 8, 1: 16, 2: 4}
    assert Counter(last.labels) == {0: 2, 1: 4, 2: 1}
    assert first.class_names == last.class_names == tuple(SIZES)
    whole = open_folder(str(tmp_path), 'train')
    assert sorted(first.files + last.files) == sorted(whole.files)
    assert first.files == tuple(name for name in whole.files if name in first.files)


SIZES = {'ant': 10, 'bee': 20, 'cat': 5}


@pytest.mark.parametrize(
    ('split', 'indices'),
    [
        ('train[:4]', [0, 1, 2, 6]),
        ('train[4:]', [3, 4, 5, 7, 8]),
        ('train[-2:]', [5, 8]),
        ('train[33%:67%]', [2, 3, 7]),
        ('train[:]', list(range(9))),
        ('[:1]', [0]),
    ],
)
def test_a_part_counts_images_or_percent_as_tfds_does(split, indices):
    assert part_indices(parse_part(split), 6 * [0] + 3 * [1]) == indices


@pytest.mark.parametrize(
    ('split', 'message'),
    [
        ('train[:10]', r'10 is outside of the 9 images of train'),
        ('train[:120%]', r'120% is outside'),
        ('train[5:5]', r'train\[5:5\] is empty'),
        ('train[a:]', r"'a' is not a number of images or percent; write"),
    ],
)
def test_a_part_that_is_not_there_is_refused(split, message):
    with pytest.raises(ValueError, match=message):
        part_indices(parse_part(split), 9 * [0])


def test_a_folder_with_brackets_in_its_name_is_no_part(tmp_path):
    build(tmp_path, ['train[:1]/ant/1.png', 'train[:1]/ant/2.png'])
    assert len(open_folder(str(tmp_path), 'train[:1]')) == 2
