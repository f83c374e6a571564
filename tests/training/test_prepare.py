"""A run is checked, and its data are opened, before anything is compiled."""

from helpers.images import images
from helpers.paths import QUICKSTART

from inception_jax.config.experiment import experiment
from inception_jax.config.files import config_with
from inception_jax.training.prepare import prepare


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
