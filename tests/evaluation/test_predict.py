"""predict as a user runs it, on files of every kind."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import jax
import numpy as np
import pytest
from helpers.tables import unaligned
from helpers.tiny import NET
from helpers.training import arguments, environment
from PIL import Image

from inception_jax.__main__ import main
from inception_jax.data.augment import to_range
from inception_jax.data.crops import view_options, views
from inception_jax.data.decode import decode
from inception_jax.data.geometry import central_crop
from inception_jax.data.resize import crop_and_resize, resize
from inception_jax.model.classifier import Classifier
from inception_jax.training.states import trained_run


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    assert main(arguments(folder, run__epochs=2)) == 0
    return folder


@pytest.fixture(scope='module')
def weights(workdir, tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'tiny.safetensors'
    assert main(['convert', str(workdir), str(path)]) == 0
    return path


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Returns a folder with images of every mode, and 40 in a folder below."""
    folder = tmp_path_factory.mktemp('photos')
    pixels = np.random.default_rng(0).integers(256, size=(43, 40, 31, 3), dtype='uint8')
    Image.fromarray(pixels[0]).convert('L').save(folder / 'grey.jpg')
    Image.fromarray(pixels[1]).convert('CMYK').save(folder / 'print.jpg')
    cv2.imwrite(str(folder / 'deep.png'), pixels[2].astype(np.uint16) * 257)
    Image.fromarray(pixels[2, :1, :1]).save(folder / 'one pixel.png')
    (folder / 'notes.txt').write_text('not an image')
    below = folder / 'more' / 'of them'
    below.mkdir(parents=True)
    for number, image in enumerate(pixels[3:]):
        Image.fromarray(image).save(below / f'{number:02}.png')
    return folder


def predict(*options):
    return main(['predict', *map(str, options)])


def applied(trained, crop):
    """Returns the outputs of a network for a crop, and the outputs of its blocks."""
    return Classifier(trained.network, 0.9).apply(
        trained.variables,
        to_range(crop[None], NET.pixel_range),
        train=False,
        residual_scale=trained.scales,
        mutable=['intermediates'],
    )


def softmax(trained, crop):
    return np.asarray(jax.nn.softmax(applied(trained, crop)[0].logits)[0])


def crop_of_file(trained, path):
    """Returns the central crop of an image file at the input size of the network."""
    image = decode(path.read_bytes())
    box = central_crop(*image.shape[:2], trained.network.crop_fraction)
    return crop_and_resize(image, box, NET.input_size)


def test_every_image_has_its_most_probable_classes(workdir, photos, capsys):
    trained = trained_run(workdir)
    assert predict('--workdir', workdir, photos, '--top=3', '--format=json') == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 44
    assert rows[0]['image'] == str(photos / 'deep.png')
    for row in rows:
        expected = softmax(trained, crop_of_file(trained, Path(row['image'])))
        order = np.argsort(-expected)[:3]
        assert [c['class'] for c in row['classes']] == [
            trained.class_names[i] for i in order
        ]
        shares = [c['probability'] for c in row['classes']]
        np.testing.assert_allclose(shares, expected[order], rtol=1e-5)


def test_a_weight_file_says_what_its_run_says(workdir, weights, photos, capsys):
    said = []
    for source in (
        ('--workdir', workdir),
        ('--weights', weights, '--network=helpers.tiny:NET'),
    ):
        assert predict(*source, photos, '--format=csv') == 0
        said.append(list(csv.DictReader(io.StringIO(capsys.readouterr().out))))
    assert len(said[0]) == 44 * 4
    assert said[0] == said[1]


def test_the_same_comes_from_batches_of_any_size(workdir, photos, tmp_path):
    texts = set()
    for size in (4, 20, 64):
        path = tmp_path / f'{size}.csv'
        options = ('--format=csv', f'--batch-size={size}', '--output', path)
        assert predict('--workdir', workdir, photos, *options, '--top=1') == 0
        rows = csv.DictReader(path.read_text().splitlines())
        texts.add(tuple((row['image'], row['class']) for row in rows))
    assert len(texts) == 1


def test_crops_are_averaged(workdir, photos, capsys):
    """The twelve of an evaluation of the same file."""
    trained, image = trained_run(workdir), photos / 'grey.jpg'
    options = ('--crops=12', '--format=json', '--top=4')
    assert predict('--workdir', workdir, image, *options) == 0
    (row,) = json.loads(capsys.readouterr().out)
    pixels = decode(image.read_bytes())
    shares = []
    size = NET.input_size
    options = view_options(trained.network, 12)
    assert options.pop('interpolation') == 'bilinear'
    for height, width, box in views(*pixels.shape[:2], **options):
        crop = crop_and_resize(resize(pixels, height, width, 'bilinear'), box, size)
        shares += [softmax(trained, crop), softmax(trained, crop[:, ::-1])]
    assert len(shares) == 12
    probabilities = {c['class']: c['probability'] for c in row['classes']}
    expected = np.mean(shares, axis=0)
    for name, share in zip(trained.class_names, expected, strict=True):
        assert probabilities[name] == pytest.approx(float(share), rel=1e-5)


def test_files_that_cannot_be_read_are_listed_at_the_end(workdir, tmp_path, capsys):
    good = np.zeros((20, 20, 3), np.uint8)
    Image.fromarray(good).save(tmp_path / 'good.png')
    (tmp_path / 'bad.jpg').write_bytes(b'\xff\xd8\xff and no more')
    (tmp_path / 'empty.png').touch()
    assert predict('--workdir', workdir, tmp_path, '--format=csv', '--top=1') == 1
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2
    assert 'good.png,1,' in printed.out
    lines = printed.err.splitlines()
    assert '2 of 3 images cannot be read:' in lines
    assert 'bad.jpg' in lines[-2]
    assert 'empty.png' in lines[-1]


def test_a_table_has_other_names_if_they_are_given(workdir, photos, tmp_path, capsys):
    names = tmp_path / 'names.txt'
    names.write_text('ant\nbee\ncow\ndog\n')
    options = (
        '--workdir',
        workdir,
        photos / 'grey.jpg',
        '--top=4',
        '--class-names',
        names,
    )
    assert predict(*options) == 0
    head, _, row = unaligned(capsys.readouterr().out).splitlines()
    assert head.startswith('| image | class 1 | % | class 2 | % |')
    assert set(row.split(' | ')[1::2]) == {'ant', 'bee', 'cow', 'dog'}
    names.write_text('ant\nbee\n')
    assert predict(*options) == 2
    assert (
        '--class-names has 2 lines, and the network has 4 classes'
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ('block', 'shape'), [('stem', (8, 8, 16)), ('pool', (16,)), ('logits', (4,))]
)
def test_features_are_those_of_the_block(block, shape, workdir, photos, tmp_path):
    path = tmp_path / 'found' / 'features.npz'
    options = ('--features', block, '--output', path)
    assert predict('--workdir', workdir, photos, *options) == 0
    with np.load(path) as file:
        arrays = dict(file)
    metadata = json.loads(str(arrays['about']))
    assert (metadata['end_point'], metadata['step']) == (block, 16)
    assert arrays['features'].shape == (44, *shape)
    assert arrays['features'].dtype == np.float32
    trained = trained_run(workdir)
    for row in (0, 43):
        crop = crop_of_file(trained, Path(arrays['ids'][row]))
        outputs, left = applied(trained, crop)
        expected = {
            'stem': left['intermediates']['stem']['output'][0],
            'pool': outputs.features.mean((1, 2)),
            'logits': outputs.logits,
        }[block][0]
        largest = float(abs(expected).max())
        features = arrays['features'][row]
        np.testing.assert_allclose(features, expected, atol=1e-5 * largest)
    assert list(path.parent.iterdir()) == [path]


def test_features_of_an_interrupted_command_are_not_there(
    workdir, photos, tmp_path, monkeypatch
):
    from inception_jax.evaluation import predict as module

    def interrupted(*options):
        def apply(batch):
            raise KeyboardInterrupt

        return apply

    monkeypatch.setattr(module, 'compile_end_point', interrupted)
    path = tmp_path / 'features.npz'
    options = ('--features=pool', '--output', path)
    assert predict('--workdir', workdir, photos, *options) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['nowhere.jpg'], 'nowhere.jpg: there is no such file or folder'),
        (['.', '--features=d_1', '--output=f.npz'], "has no block 'd_1'; it has stem"),
        (['.', '--features=pool'], '--features needs --output FILE.npz'),
        (['.', '--features=pool', '--output=f.txt'], '--features needs --output FILE'),
        (
            ['.', '--features=pool', '--output=f.npz', '--crops=10'],
            '--features uses a single crop',
        ),
        (['.', '--top=0'], '--top is 0; expected 1 or more'),
        (['.', '--batch-size=3'], 'batch_size 3 does not divide over 4 devices'),
        (
            ['.', '--class-names=nowhere.txt'],
            '--class-names nowhere.txt cannot be read',
        ),
        (['.', '--network=inception_v4'], "not 'inception_v4'"),
    ],
)
def test_a_mistake_is_one_line(options, message, workdir, photos, monkeypatch, capsys):
    monkeypatch.chdir(photos)
    assert predict('--workdir', workdir, *options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_a_reader_that_has_seen_enough_is_no_error(workdir, photos):
    command = [sys.executable, '-m', 'inception_jax', 'predict', f'--workdir={workdir}']
    with subprocess.Popen(
        [*command, str(photos), '--format=csv', '--network=helpers.tiny:NET'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    ) as process:
        assert process.stdout.readline() == 'image,rank,class,probability\n'
        process.stdout.close()
        assert 'Traceback' not in process.stderr.read()
    assert process.returncode == 0


def test_names_of_files_that_are_no_text_come_out_as_they_were(workdir, tmp_path):
    folder, path = tmp_path / 'in', tmp_path / 'out.csv'
    folder.mkdir()
    odd = os.fsencode(folder) + b'/caf\xe9.png'
    with open(odd, 'wb') as file:
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(file, 'png')
    options = ('--format=csv', '--top=1', '--output', path)
    assert predict('--workdir', workdir, folder, *options) == 0
    assert odd in path.read_bytes()
    assert predict('--workdir', workdir, folder, '--format=csv', '--top=1') == 0


def test_a_sigterm_removes_an_unfinished_file(workdir, photos, tmp_path, monkeypatch):
    from inception_jax.evaluation import predict as module

    def signalled(*options):
        def apply(batch):
            signal.raise_signal(signal.SIGTERM)

        return apply

    monkeypatch.setattr(module, 'compile_end_point', signalled)
    options = ('--features=pool', '--output', tmp_path / 'f.npz')
    with pytest.raises(SystemExit, match='143'):
        predict('--workdir', workdir, photos, *options)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_there_stays(workdir, photos, tmp_path, capsys):
    path = tmp_path / 'out.csv'
    path.write_text('before')
    assert predict('--workdir', workdir, photos, '--output', path) == 2
    assert 'out.csv exists already' in capsys.readouterr().err
    assert path.read_text() == 'before'


def test_a_folder_without_images_is_refused(workdir, tmp_path, capsys):
    (tmp_path / 'notes.txt').write_text('not an image')
    assert predict('--workdir', workdir, tmp_path) == 2
    assert 'has no image files; expected names ending in' in capsys.readouterr().err


@pytest.mark.skipif('TFDS_DATA_DIR' not in os.environ, reason='needs TFDS_DATA_DIR')
def test_photos_of_imagenet_are_all_read(workdir, tmp_path, capsys):
    from inception_jax.data.sources.open import open_source

    source = open_source('tfds:imagenet2012', 'validation')
    for number in range(100):
        (tmp_path / f'{number:03}.jpg').write_bytes(source[number].image)
    assert predict('--workdir', workdir, tmp_path, '--format=json', '--top=1') == 0
    assert len(json.loads(capsys.readouterr().out)) == 100
