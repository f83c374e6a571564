"""Memory in huge pages, for which the command line starts itself again.

A train step on a CPU takes gigabytes from the system and gives them back, in pages of
4 KiB by hundreds of thousands. Where Linux gives huge pages to those who ask, the C
library asks if a variable says so when the process starts: later is too late.
INCEPTION_JAX_HUGE_PAGES=0 turns it off.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# It says ASKED from the second start on, lest there be a third: a variable of the C
# library may not arrive.
SWITCH, ASKED = 'INCEPTION_JAX_HUGE_PAGES', 'asked'
TUNABLES = 'GLIBC_TUNABLES'
TUNABLE = 'glibc.malloc.hugetlb'
SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')
FIRST_GLIBC = (2, 35)


def start_again() -> None:
    """Replaces this process by the same with huge pages, if they are to be had.

    Nothing may have been begun. Where it returns, the process goes on as it is.
    """
    if not wanted(os.environ):
        return
    given = os.environ.get(TUNABLES)
    added = f'{TUNABLE}=1'
    changed = {SWITCH: ASKED, TUNABLES: f'{given}:{added}' if given else added}
    with contextlib.suppress(OSError):
        command = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, command, os.environ | changed)


def wanted(environ: Mapping[str, str], setting: Path = SETTING) -> bool:
    """Tells whether huge pages can be had, are not yet, and are not refused."""
    if environ.get(SWITCH) in ('0', ASKED) or TUNABLE in environ.get(TUNABLES, ''):
        return False
    if not sys.executable or glibc() < FIRST_GLIBC:
        return False
    try:
        return '[madvise]' in setting.read_text()
    except OSError:
        return False


def glibc() -> tuple[int, ...]:
    """Returns the version of the C library, () if it is another."""
    try:
        name, version = os.confstr('CS_GNU_LIBC_VERSION').split()
        return tuple(map(int, version.split('.')[:2])) if name == 'glibc' else ()
    except (AttributeError, ValueError, OSError):
        return ()
