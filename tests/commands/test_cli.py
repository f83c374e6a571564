"""How a command ends: with one line for what is not its fault."""

import pytest

from inception_jax.commands.shared.cli import run_command


def fails(error):
    def work():
        raise error

    return work


@pytest.mark.parametrize(
    ('error', 'status', 'message'),
    [
        (OSError(28, 'No space left', 'a.html'), 1, 'a.html: No space left; check the'),
        (
            OSError(30, 'Read-only\x1b file system'),
            1,
            r'Read-only\x1b file system; che',
        ),
    ],
)
def test_an_error_of_the_disk_in_the_work_is_a_line(error, status, message, capsys):
    assert run_command('name', lambda: fails(error)) == status
    printed = capsys.readouterr().err
    assert printed.startswith(f'name: {message}')
    assert printed.count('\n') == 1


def test_a_bug_is_no_line():
    with pytest.raises(ValueError, match='ours'):
        run_command('name', lambda: fails(ValueError('ours')))
