"""export as a user runs it, and the lines of docs/weights.md that run its file."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import ROOT
from helpers.training import arguments
from PIL import Image

from inception_jax.__main__ import main
from inception_jax.data.augment import to_range
from inception_jax.model.classifier import Classifier
from inception_jax.training.states import trained_run

GUIDE = (ROOT / 'docs/weights.md').read_text()
LOADER, PHOTO_LOADER = [
    text
    for text in re.findall(r'```python\n(.*?)```', GUIDE, re.S)
    if 'jax.export' in text
]


@pytest.fixture(scope='module')
def workdir(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    changes = {'run__epochs': 1, 'hparams__residual_scale': 0.3}
    assert main(arguments(folder, **changes)) == 0
    return folder


def export(workdir, path, *options):
    return main(['export', f'--workdir={workdir}', str(path), *options])


def test_the_guide_classifies_a_photo_without_the_package(workdir, tmp_path):
    assert export(workdir, tmp_path / 'mine.npz') == 0
    pixels = np.random.default_rng(0).integers(256, size=(40, 50, 3), dtype='uint8')
    Image.fromarray(pixels).save(tmp_path / 'cat.jpg')
    command = [sys.executable, '-I', '-c', PHOTO_LOADER]
    printed = subprocess.check_output(command, cwd=tmp_path, text=True)
    percents = [float(line.split()[1]) for line in printed.splitlines()]
    assert len(percents) == 3
    assert percents == sorted(percents, reverse=True)


@pytest.mark.parametrize('options', [[], ['--fold']])
def test_the_lines_of_the_guide_run_the_program(options, workdir, tmp_path):
    assert export(workdir, tmp_path / 'v4.npz', *options) == 0
    images = np.random.default_rng(0).integers(256, size=(3, 16, 16, 3), dtype='uint8')
    np.save(tmp_path / 'images.npy', images)
    zeros = 'np.zeros((3, 299, 299, 3), np.uint8)'
    lines = LOADER.replace(zeros, "np.load('images.npy')")
    assert lines != LOADER
    check = "import sys\nassert 'inception_jax' not in sys.modules\n"
    script = f"{lines}\n{check}np.save('logits.npy', logits)\n"
    # Isolated, it finds no package in this folder.
    subprocess.run([sys.executable, '-I', '-c', script], cwd=tmp_path, check=True)
    trained = trained_run(workdir)
    expected = Classifier(trained.network, 0.9).apply(
        trained.variables,
        to_range(images, trained.network.pixel_range),
        train=False,
        residual_scale=trained.scales,
    )
    largest = float(abs(expected.logits).max())
    logits = np.load(tmp_path / 'logits.npy')
    np.testing.assert_allclose(logits, expected.logits, atol=1e-5 * largest)


def test_the_file_describes_itself(workdir, tmp_path, capsys):
    path = tmp_path / 'net.npz'
    assert export(workdir, path, '--platforms=cpu', '--pixels=float32') == 0
    printed = capsys.readouterr().out
    assert 'images    float32 [b, 16, 16, 3], -1 to 1' in printed
    with np.load(path) as file:
        metadata = json.loads(str(file['about']))
    assert metadata['class_names'] == ['0', '1', '2', '3']
    assert metadata['residual_scales'] == pytest.approx([0.3, 0.3])
    assert (metadata['platforms'], metadata['step']) == (['cpu'], 8)


@pytest.mark.parametrize(
    ('name', 'options', 'message'),
    [
        ('net.bin', [], 'net.bin is not a file of a program; expected FILE.npz'),
        ('net.npz', ['--fold', '--scale-input'], 'a folded network holds its'),
        ('net.npz', ['--platforms=abacus'], 'platforms abacus; expected one or more'),
        ('there.npz', [], 'there.npz exists already; name another output, or rep'),
    ],
)
def test_a_mistake_is_one_line(name, options, message, workdir, tmp_path, capsys):
    (tmp_path / 'there.npz').touch()
    assert export(workdir, tmp_path / name, *options) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count('\n') == 1


def test_renew_replaces_an_export_of_the_same_network_only(workdir, tmp_path, capsys):
    path = tmp_path / 'net.npz'
    assert export(workdir, path, '--renew', '--platforms=cpu') == 2
    assert 'net.npz does not exist' in capsys.readouterr().err
    assert export(workdir, path, '--platforms=cpu', '--fold') == 0
    assert export(workdir, path, '--renew', '--platforms=cpu') == 2
    assert 'with folded True, and the new one has False' in capsys.readouterr().err
    assert export(workdir, path, '--renew', '--platforms=cpu', '--fold') == 0
    with np.load(path) as file:
        metadata = json.loads(str(file['about']))
        others = {name: file[name] for name in file.files if name != 'about'}
    np.savez(path, about=json.dumps(metadata | {'network': 'other'}), **others)
    capsys.readouterr()
    assert export(workdir, path, '--renew', '--platforms=cpu', '--fold') == 2
    assert "is an export with network 'other'" in capsys.readouterr().err
