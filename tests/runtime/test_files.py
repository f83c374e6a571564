"""Files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from inception_jax.runtime.files import write_atomically, write_json, write_text


def test_a_file_is_replaced_at_the_end(tmp_path):
    path = tmp_path / 'new' / 'page.html'
    write_text(path, 'före')
    with write_atomically(path) as draft:
        draft.write_text('after')
        assert path.read_text('utf-8') == 'före'
    assert path.read_text() == 'after'
    assert os.listdir(path.parent) == ['page.html']


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / 'table.json'
    write_json(path, {'a': 1})
    with pytest.raises(ValueError, match='JSON'):
        write_json(path, {'a': float('nan')})
    with pytest.raises(ZeroDivisionError), write_atomically(path) as draft:
        draft.write_text(f'half {1 // 0}')
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert os.listdir(tmp_path) == ['table.json']


def test_a_device_is_written_directly():
    write_text(Path('/dev/null'), 'nothing')
    assert Path('/dev/null').is_char_device()


def test_a_full_disk_names_the_file_and_leaves_no_draft(tmp_path):
    path = tmp_path / 'page.html'
    path.write_text('old')
    with pytest.raises(OSError, match='No space') as error, write_atomically(path):
        raise OSError(28, 'No space left on device')
    assert error.value.filename == str(path)
    assert (path.read_text(), os.listdir(tmp_path)) == ('old', ['page.html'])


def test_a_draft_replaces_a_link_and_not_what_it_leads_to(tmp_path):
    target, link = tmp_path / 'target', tmp_path / 'link'
    target.write_text('mine')
    link.symlink_to(target)
    write_text(link, 'new')
    assert (target.read_text(), link.read_text()) == ('mine', 'new')
    assert not link.is_symlink()
