"""The memory allocator, for which the command line starts itself again.

A train step on a CPU takes gigabytes from the system and gives them back, in pages of
4 KiB by hundreds of thousands. jemalloc keeps for the next step what one has used, and
asks for huge pages; without it the C library can be told to ask for these. Both look
for it in the variables with which the process starts: later is too late.
INCEPTION_JAX_ALLOCATOR=0 leaves everything as it is.
"""

import contextlib
import ctypes.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# It says ASKED from the second start on, lest there be a third: a variable of the
# system may not arrive.
SWITCH, ASKED = 'INCEPTION_JAX_ALLOCATOR', 'asked'
PRELOAD = 'LD_PRELOAD'
LIBRARY = 'libjemalloc.so.2'
# What was used stays, also what is large, and all threads take it from one place: each
# arena would keep as much. What compiling took, `memory` gives back.
JEMALLOC, JEMALLOC_SAYS = (
    'MALLOC_CONF',
    'dirty_decay_ms:-1,oversize_threshold:0,narenas:1',
)
GLIBC = 'GLIBC_TUNABLES'
HUGE = 'glibc.malloc.hugetlb'
FIRST_GLIBC = (2, 35)
SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')


def restart_with_jemalloc() -> None:
    """Replaces this process by the same with another allocator, if it is to be had.

    Nothing may have been begun. Where it returns, the process goes on as it is.
    """
    more = is_jemalloc_wanted(os.environ)
    if more and sys.executable:
        command = [sys.executable, *sys.orig_argv[1:]]
        with contextlib.suppress(OSError):
            os.execve(sys.executable, command, {**os.environ, **more, SWITCH: ASKED})


def is_jemalloc_wanted(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that are missing, none where the user has said a word."""
    if environ.get(SWITCH) in ('0', ASKED) or PRELOAD in environ:
        return {}
    huge = _huge_pages_on_request()
    if (library := jemalloc()) and JEMALLOC not in environ:
        says = f'thp:always,{JEMALLOC_SAYS}' if huge else JEMALLOC_SAYS
        return {PRELOAD: library, JEMALLOC: says}
    given = environ.get(GLIBC, '')
    if huge and glibc() >= FIRST_GLIBC and HUGE not in given:
        return {GLIBC: ':'.join(filter(None, [given, f'{HUGE}=1']))}
    return {}


def without_jemalloc(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables as they were given, if `start_again` has added jemalloc."""
    added = environ.get(SWITCH) == ASKED and PRELOAD in environ
    ours = (PRELOAD, JEMALLOC) if added else ()
    return {name: value for name, value in environ.items() if name not in ours}


def jemalloc() -> str | None:
    """Returns where its library is, None if there is none for this system."""
    # Where pages are larger than those it was built for, it ends the process.
    if sys.platform != 'linux' or os.sysconf('SC_PAGE_SIZE') != 4096:
        return None
    own = Path(sys.prefix, 'lib', LIBRARY)  # that of a conda environment
    if own.exists() and not {' ', ':'} & {*str(own)}:  # These part libraries.
        return str(own)
    found = ctypes.util.find_library('jemalloc')
    return found if found == LIBRARY else None


def glibc() -> tuple[int, ...]:
    """Returns the version of the C library, () if it is another."""
    try:
        name, version = os.confstr('CS_GNU_LIBC_VERSION').split()
        return tuple(map(int, version.split('.')[:2])) if name == 'glibc' else ()
    except (AttributeError, ValueError, OSError):
        return ()


def _huge_pages_on_request() -> bool:
    """Tells whether Linux gives huge pages to those who ask, and to no others."""
    try:
        return '[madvise]' in SETTING.read_text()
    except OSError:
        return False
