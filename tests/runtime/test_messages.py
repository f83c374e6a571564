"""Notes on standard error, and output in encodings that lack some letters."""

import subprocess
import sys

from helpers.training import environment

from inception_jax.runtime.messages import warn_once


def test_a_note_is_printed_once(capsys):
    for _ in range(2):
        warn_once('a note of this test')
    assert capsys.readouterr().err == 'note: a note of this test\n'


def test_a_name_is_printed_where_the_encoding_lacks_its_letters(tmp_path):
    (tmp_path / 'caf\u00e9').mkdir()
    (tmp_path / 'caf\u00e9' / '1.png').write_bytes(b'')
    command = [sys.executable, '-m', 'inception_jax', 'data-check']
    done = subprocess.run(
        [*command, f'--source=folder:{tmp_path}'],
        env=environment() | {'PYTHONIOENCODING': 'ascii'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert 'all caf\\xe9/1.png: 0 bytes that are not an image' in done.stdout
    assert 'Traceback' not in done.stderr
