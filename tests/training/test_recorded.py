"""A run without its images, and with other ones than it had."""

import json
import shutil

import numpy as np
import pytest
from helpers.training import arguments
from PIL import Image

from inception_jax.__main__ import main
from inception_jax.runs.run import Run
from inception_jax.runs.workdir import CLASSES
from inception_jax.training.states import trained_run


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """Returns a folder with `images` of two classes and a `run` on them."""
    folder = tmp_path_factory.mktemp('recorded')
    pixels = np.random.default_rng(0).integers(256, size=(48, 20, 20, 3), dtype='uint8')
    for number, image in enumerate(pixels):
        split = 'train' if number < 24 else 'test'
        place = folder / 'images' / split / 'ab'[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f'{number}.png')
    changes = {'data__source': f'folder:{folder / "images"}', 'run__epochs': 1}
    assert main(arguments(folder / 'run', **changes)) == 0
    return folder


@pytest.fixture
def folder(finished):
    """Returns the folder, whose content is put back afterwards."""
    copy = finished.with_name('copy')
    shutil.copytree(finished, copy)
    yield finished
    shutil.rmtree(finished)
    copy.rename(finished)


def test_an_evaluation_needs_no_training_images(folder, capsys):
    shutil.rmtree(folder / 'images' / 'train')
    assert main(['evaluate', f'--workdir={folder / "run"}', '--format=json']) == 0
    assert json.loads(capsys.readouterr().out)['errors']['all']['images'] == 24


def test_a_prediction_needs_no_images_of_the_run(folder, tmp_path, capsys):
    (folder / 'images' / 'test' / 'a' / '24.png').rename(tmp_path / 'x.png')
    shutil.rmtree(folder / 'images')
    command = ['predict', f'--workdir={folder / "run"}', str(tmp_path / 'x.png')]
    assert main([*command, '--format=csv']) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert {row.split(',')[2] for row in rows} == {'a', 'b'}


def test_an_older_run_asks_its_images_for_the_classes(folder, capsys):
    (folder / 'run' / CLASSES).unlink()
    assert trained_run(folder / 'run').class_names == ('a', 'b')
    shutil.rmtree(folder / 'images' / 'train')
    assert main(['evaluate', f'--workdir={folder / "run"}']) == 2
    assert 'is not a folder' in capsys.readouterr().err


def test_images_that_are_not_all_there_are_noticed(folder, capsys):
    for number in range(24, 32, 2):
        (folder / 'images' / 'test' / 'a' / f'{number}.png').unlink()
    assert main(['evaluate', f'--workdir={folder / "run"}']) == 2
    printed = capsys.readouterr().err
    assert 'have changed since the run was trained: 24 images then, ' in printed
    assert ', 20 images now; ' in printed
    assert 'restore them, or name another source' in printed
    assert printed.count('\n') == 1


@pytest.mark.parametrize('text', ['[1, 2]', '"ab"', '{', '[]'])
def test_classes_that_are_damaged_are_one_line(text, folder, capsys):
    (folder / 'run' / CLASSES).write_text(text)
    assert main(['evaluate', f'--workdir={folder / "run"}']) == 2
    printed = capsys.readouterr().err
    assert 'classes.json is damaged; remove it' in printed
    assert printed.count('\n') == 1
    # Training resumes, and writes the class names again.
    assert main(['train', f'--workdir={folder / "run"}']) == 0
    assert Run(folder / 'run').class_names == ('a', 'b')


def test_a_config_without_its_data_is_one_line(folder, capsys):
    path = folder / 'run' / 'config.json'
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps({n: x for n, x in recorded.items() if n != 'data'}))
    assert main(['evaluate', f'--workdir={folder / "run"}']) == 2
    printed = capsys.readouterr().err
    assert 'config.json is not a file of a run, or is damaged' in printed
    assert printed.count('\n') == 1
