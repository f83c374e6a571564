"""A run is checked, and its data are opened, before anything is compiled."""

import pytest
from helpers.images import images
from helpers.paths import QUICKSTART

from inception_jax.config.experiment import experiment
from inception_jax.config.files import config_with
from inception_jax.networks import conv, network, one
from inception_jax.training import prepare as module
from inception_jax.training.prepare import check_memory, prepare


def test_the_files_that_a_run_does_not_use_are_noted_once(tmp_path, capsys):
    images(tmp_path / 'data')
    (tmp_path / 'data' / 'train' / '0' / 'photo.heic').write_bytes(b'x')
    changes = {
        'data.source': f'folder:{tmp_path / "data"}',
        'data.train_split': 'train',
        'data.evaluation_split': 'test',
        'run.batch_size': 4,
    }
    for _ in range(2):
        prepare(experiment(config_with(QUICKSTART, **changes)), tmp_path / 'run')
    note = f'note: {tmp_path / "data" / "train"}: ignored 1 file (.heic 1)\n'
    assert capsys.readouterr().err == note


@pytest.mark.parametrize(('workers', 'batches'), [(0, 2), (3, 15)])
def test_a_batch_whose_images_alone_do_not_fit_is_refused(
    workers, batches, monkeypatch
):
    net = network('tiny', one('stem', conv(4, 3, 2)), classes=10, input_size=100)
    monkeypatch.setattr('inception_jax.data.prefetch.cores', lambda: 2)
    memory = batches * 1000 * 3 * 100 * 100
    monkeypatch.setattr(module, 'machine_memory', lambda: memory)
    check_memory(net, 999, workers)
    with pytest.raises(
        ValueError, match=f'{batches} batches of 1,000 images of 100 pix'
    ):
        check_memory(net, 1000, workers)
    with pytest.raises(ValueError, match=r'batch_size, e\.g\. to 32$'):
        check_memory(net, 10**6, workers)


def test_a_run_of_no_step_is_refused(tmp_path):
    images(tmp_path / 'data')
    changes = {
        'data.source': f'folder:{tmp_path / "data"}',
        'run.batch_size': 1000,
        'run.epochs': 2,
    }
    with pytest.raises(
        ValueError,
        match=r'no step: 2 epochs of 32 images fill less than half a batch of 1,000 '
        r'images; lower config\.run\.batch_size to 32 or less',
    ):
        prepare(experiment(config_with(QUICKSTART, **changes)), tmp_path / 'run')
