"""The options of evaluate and ensemble that say which images count."""

import argparse

import pytest

from inception_jax.commands.shared.error_tables import read_excluded


def excluded(file, content):
    file.write_bytes(content)
    return read_excluded(argparse.Namespace(exclude=file))


def test_a_list_of_images_to_leave_out_has_one_image_a_line(tmp_path):
    content = '\ufeffgreat shark/1 of 2.png\r\n\n 7.png\n'.encode()
    assert excluded(tmp_path / 'list.txt', content) == [
        'great shark/1 of 2.png',
        '7.png',
    ]


@pytest.mark.parametrize(
    ('content', 'message'), [(b'\n \n', 'is empty'), (b'\xff', 'cannot be read')]
)
def test_a_list_without_images_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        excluded(tmp_path / 'list.txt', content)
