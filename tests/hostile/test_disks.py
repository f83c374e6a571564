"""Every command on a full disk, and on a read-only machine without HOME."""

import os
import shutil
import subprocess

import pytest
from hostile.disks import ROOM, SIZES, outcomes


def may_mount() -> bool:
    if os.name != 'posix' or not shutil.which('unshare'):
        return False
    script = 'mount -t tmpfs none /mnt'
    command = ['unshare', '--mount', 'sh', '-c', script]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason='needs root on Linux, to mount a disk')
def test_commands_end_well_where_they_cannot_write(capsys):
    lines = list(outcomes())
    with capsys.disabled():
        print('', *lines, sep='\n')
    assert len(lines) == 13 * (len(SIZES) + 1)
    assert all(line.startswith('ok') for line in lines)
    with_room = [line for line in lines if f'disk of {ROOM}' in line]
    assert len(with_room) == 13
    for line in with_room:
        assert 'ended with 0:' in line or 'exists already' in line
