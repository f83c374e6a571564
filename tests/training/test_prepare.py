"""A run is checked, and its data are opened, before anything is compiled."""

from helpers.images import images
from helpers.training import arguments

from inception_jax.__main__ import main


def test_the_files_that_a_run_does_not_use_are_noted_once(tmp_path, capsys):
    images(tmp_path / 'data')
    (tmp_path / 'data' / 'train' / '0' / 'photo.heic').write_bytes(b'x')
    source = {'data__source': f'folder:{tmp_path / "data"}', 'run__batch_size': 3}
    options = arguments(tmp_path / 'run', data__evaluation_split='train', **source)
    # Four devices do not divide three images.
    assert main(options) == 2
    note = f'note: {tmp_path / "data" / "train"}: ignored: 1 files (.heic 1)\n'
    assert capsys.readouterr().err.startswith(note)
