"""The memory allocator: the command line restarts itself to change the allocator.

A train step on a CPU takes gigabytes from the system and returns them, in hundreds of
thousands of pages of 4 KiB. jemalloc keeps the memory of one step for the next, and
asks for huge pages. Without jemalloc, the C library can be asked to use huge pages.
Both read environment variables when the process starts, so setting them later has no
effect. INCEPTION_JAX_ALLOCATOR=0 leaves the allocator unchanged.
"""

import contextlib
import ctypes.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

# Set to RESTARTED for the second start. It prevents a third start, even if the other
# variables do not reach the second process.
SWITCH, RESTARTED = 'INCEPTION_JAX_ALLOCATOR', 'asked'
PRELOAD = 'LD_PRELOAD'
LIBRARY = 'libjemalloc.so.2'
# Keeps freed memory, also of large blocks, in one arena for all threads, because each
# arena would keep as much. The module `memory` returns the memory of compilations.
JEMALLOC = 'MALLOC_CONF'
JEMALLOC_OPTIONS = 'dirty_decay_ms:-1,oversize_threshold:0,narenas:1'
GLIBC = 'GLIBC_TUNABLES'
HUGE_PAGES = 'glibc.malloc.hugetlb'
FIRST_GLIBC = (2, 35)
SETTING = Path('/sys/kernel/mm/transparent_hugepage/enabled')


def restart_with_jemalloc() -> None:
    """Replaces this process by the same command with a better allocator.

    Call it before any work. It returns if there is nothing to change, or if the process
    cannot be replaced.
    """
    missing = allocator_variables(os.environ)
    if missing and sys.executable:
        command = [sys.executable, *sys.orig_argv[1:]]
        variables = {**os.environ, **missing, SWITCH: RESTARTED}
        with contextlib.suppress(OSError):
            os.execve(sys.executable, command, variables)


def allocator_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables to add; none if the user has chosen an allocator."""
    if environ.get(SWITCH) in ('0', RESTARTED) or PRELOAD in environ:
        return {}
    huge = _huge_pages_on_request()
    if (library := jemalloc()) and JEMALLOC not in environ:
        options = f'thp:always,{JEMALLOC_OPTIONS}' if huge else JEMALLOC_OPTIONS
        return {PRELOAD: library, JEMALLOC: options}
    tunables = environ.get(GLIBC, '')
    if huge and glibc() >= FIRST_GLIBC and HUGE_PAGES not in tunables:
        return {GLIBC: ':'.join(filter(None, [tunables, f'{HUGE_PAGES}=1']))}
    return {}


def without_jemalloc(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables without the additions of `restart_with_jemalloc`."""
    added = environ.get(SWITCH) == RESTARTED and PRELOAD in environ
    removed = (PRELOAD, JEMALLOC) if added else ()
    return {name: value for name, value in environ.items() if name not in removed}


def jemalloc() -> str | None:
    """Returns the path or name of the jemalloc library, or None without jemalloc."""
    # jemalloc ends a process on a system with larger pages than it was built for.
    if sys.platform != 'linux' or os.sysconf('SC_PAGE_SIZE') != 4096:
        return None
    library = Path(sys.prefix, 'lib', LIBRARY)  # from a conda environment
    # A space or a colon separates the libraries of LD_PRELOAD.
    if library.exists() and not {' ', ':'} & {*str(library)}:
        return str(library)
    # The search writes temporary files, and a read-only system has no place for them.
    with contextlib.suppress(OSError):
        return LIBRARY if ctypes.util.find_library('jemalloc') == LIBRARY else None
    return None


def glibc() -> tuple[int, ...]:
    """Returns the version of the GNU C library, () for another C library."""
    try:
        name, version = os.confstr('CS_GNU_LIBC_VERSION').split()
        return tuple(map(int, version.split('.')[:2])) if name == 'glibc' else ()
    except (AttributeError, ValueError, OSError):
        return ()


def _huge_pages_on_request() -> bool:
    """Whether Linux gives huge pages only to programs that ask for them."""
    try:
        return '[madvise]' in SETTING.read_text()
    except OSError:
        return False
