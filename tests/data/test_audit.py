"""The report of data-check about every record of a source."""

import json

import cv2
import numpy as np
import pytest

from inception_jax.__main__ import main
from inception_jax.data.audit import audit
from inception_jax.data.sources.arrays import Arrays
from inception_jax.data.sources.folder import open_folder


def picture(path, value, shape=(6, 8, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(shape, value, np.uint8))


@pytest.fixture
def folder(tmp_path):
    """Returns photos in two splits: one is in both, and two cannot be read."""
    for i in range(5):
        picture(tmp_path / 'train' / 'ant' / f'{i}.png', i)
    picture(tmp_path / 'train' / 'bee' / 'grey.png', 9, (4, 30))
    picture(tmp_path / 'val' / 'ant' / 'again.png', 3)
    picture(tmp_path / 'val' / 'ant' / 'new.jpg', 100, (60, 50, 3))
    (tmp_path / 'val' / 'bee').mkdir()
    (tmp_path / 'train' / 'bee' / 'empty.png').write_bytes(b'')
    (tmp_path / 'train' / 'bee' / 'page.jpg').write_bytes(b'<html>')
    return tmp_path


def check(folder, *options):
    source = f'--source=folder:{folder}'
    return main(['data-check', source, '--split=train', '--split=val', *options])


def test_counts_sizes_kinds_duplicates_and_what_cannot_be_read(folder, capsys):
    assert check(folder, '--format=json') == 1
    report = json.loads(capsys.readouterr().out)
    train, val = report['splits']['train'], report['splits']['val']
    assert (train['images'], val['images']) == (8, 2)
    assert train['classes'] == {'ant': 5, 'bee': 3}
    assert val['classes'] == {'ant': 2, 'bee': 0}
    assert train['kinds'] == {'PNG RGB': 5, 'PNG L': 1}
    assert val['kinds'] == {'PNG RGB': 1, 'JPEG RGB': 1}
    assert train['heights'] == [4, 6, 6]
    assert val['widths'] == [8, 29, 50]
    assert report['duplicates'] == [[['train', 'ant/3.png'], ['val', 'ant/again.png']]]
    assert report['unreadable'] == [
        ['train', 'bee/empty.png', '0 bytes that are not an image'],
        ['train', 'bee/page.jpg', '6 bytes that are not an image'],
    ]


def test_the_text_reports_the_same(folder, capsys):
    assert check(folder) == 1
    text = capsys.readouterr().out
    assert '1 class without images: bee' in text
    assert 'duplicates: 1 group of images with the same content\n  train ant' in text
    assert 'unreadable: 2 images\n  train bee/empty.png: 0 bytes' in text


def test_a_source_that_is_whole_has_status_0(capsys):
    assert main(['data-check', '--source=synthetic:600/3']) == 0
    text = capsys.readouterr().out
    assert 'all: 600 images\n  3 classes with 200 images each' in text
    assert '600 pixels RGB' in text


def test_an_unreadable_record_is_reported_by_its_number(folder, monkeypatch):
    source = open_folder(str(folder), 'train')
    (folder / 'train' / 'ant' / '0.png').unlink()
    report = audit({'train': source})
    assert report.unreadable[0][:2] == ('train', 'number 0')


def test_a_label_that_is_no_class_is_reported_by_its_id():
    images = np.zeros((3, 4, 4), np.uint8)
    source = Arrays(images, np.array([0, -1, 2]), ('a', 'b', 'c'), ('x', 'y'))
    report = audit({'train': source})
    assert report.splits['train'].classes == {'x': 1, 'y': 0}
    assert [error for _, _, error in report.unreadable] == [
        'example b has the label -1; expected 0 to 1',
        'example c has the label 2; expected 0 to 1',
    ]


def test_a_disk_that_fails_ends_the_check_in_one_line(folder, capsys):
    file = folder / 'train' / 'ant' / '0.png'
    file.unlink()
    file.symlink_to('/proc/self/mem')
    assert check(folder) == 1
    printed = capsys.readouterr()
    assert 'example 0 of the data: Input/output error; check the disk' in printed.err
    assert (printed.out, printed.err.count('\n')) == ('', 1)


def test_files_that_are_ignored_and_classes_that_differ_are_reported(folder, capsys):
    (folder / 'train' / 'ant' / 'photo.heic').write_bytes(b'x')
    (folder / 'val' / 'cat').mkdir()
    for file in ('empty.png', 'page.jpg'):
        (folder / 'train' / 'bee' / file).unlink()
    assert check(folder) == 1
    text = capsys.readouterr().out
    assert 'train: ignored 1 file (.heic 1)' in text
    assert 'train refuses the splits: the classes of the two splits differ (cat' in text


def test_a_split_that_is_not_there_is_one_line(folder, capsys):
    assert main(['data-check', f'--source=folder:{folder}', '--split=tset']) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_class_folders_with_names_of_splits_are_noted(folder, capsys):
    assert main(['data-check', f'--source=folder:{folder}']) == 1
    text = capsys.readouterr().out
    assert '2 classes with 2 to 8 images each\n  train: 8, val: 2\n' in text
    assert 'have the names of splits (train, val); name a split' in text
    assert 'e.g. --split train' in text
    assert check(folder) == 1
    assert 'names of splits' not in capsys.readouterr().out


def test_one_class_is_not_counted_for_each(capsys):
    assert main(['data-check', '--source=synthetic:9/1']) == 0
    assert '  1 class with 9 images\n  0: 9\n' in capsys.readouterr().out


def test_the_first_20_of_many_classes_are_counted_by_name(capsys):
    assert main(['data-check', '--source=synthetic:46/23']) == 0
    text = capsys.readouterr().out
    assert '23 classes with 2 images each\n  0: 2, 1: 2, ' in text
    assert ', 19: 2, and 3 more classes\n' in text
