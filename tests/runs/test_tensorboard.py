"""TensorBoard events are an extra."""

from inception_jax.runs import tensorboard
from inception_jax.runs.tensorboard import Board


def full(*_):
    raise OSError(28, 'No space left on device')


def test_a_full_disk_ends_the_events_and_not_the_run(tmp_path, monkeypatch, capsys):
    board = Board(tmp_path, step=1)
    board.add([('train/loss', 1.0)], 1)
    monkeypatch.setattr(tensorboard.RecordWriter, 'write', full)
    for step in range(2, 40):
        board.add([('train/loss', 1.0)], step)
    board.close()
    note = 'note: no more TensorBoard events are written (No space left on device)'
    assert capsys.readouterr().err.splitlines() == [note]


def test_a_folder_that_cannot_be_written_has_no_events(tmp_path, capsys):
    board = Board(tmp_path / 'nowhere', step=1)
    board.add([('train/loss', 1.0)], 1)
    board.close()
    assert capsys.readouterr().err.count('no more TensorBoard events') == 1


def test_the_numbers_of_a_record_are_events(tmp_path):
    board = Board(tmp_path, step=4)
    board.add([('train/loss', 1.5), ('train/epoch', 0.5)], 4)
    board.close()
    (path,) = tmp_path.glob('events.out.tfevents.*')
    content = path.read_bytes()
    assert b'brain.Event:2' in content
    assert b'train/loss' in content
    assert b'train/epoch' in content
