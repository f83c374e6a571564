"""Keeps the memory of a process low, after compilations and during steps."""

import contextlib
import ctypes
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import jax

# The event that JAX records after it compiled a program or read it from the cache.
COMPILED = '/jax/core/compile/backend_compile_duration'

# A shorter compilation leaves too little memory to be worth a trim.
LEAST_SECONDS = 1.0

# The limit of a container in bytes, or `max`.
CGROUP_LIMIT = Path('/sys/fs/cgroup/memory.max')


def compute_where_called() -> None:
    """Makes JAX dispatch synchronously on a single CPU, inside the call.

    With asynchronous dispatch, the temporaries of one step may live until the next step
    has allocated its temporaries. Commands call this before JAX starts its devices,
    because no environment variable sets the option. Other devices keep their queues.
    """
    jax.config.update('jax_cpu_enable_async_dispatch', False)


@contextlib.contextmanager
def trimmed_memory() -> Iterator[None]:
    """Returns free memory to the system after each compilation within the block.

    Compiling a train step takes more than a gigabyte. The allocator would keep this
    memory while the step allocates more.
    """

    def listen(event: str, seconds: float, **_) -> None:
        if event == COMPILED and seconds > LEAST_SECONDS:
            trim_memory()

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def trim_memory() -> None:
    """Makes jemalloc, or the C library, return free memory to the system."""
    if trim := _library_function('malloc_trim'):
        trim(0)
    if control := _library_function('mallctl'):
        # Arena 4096 stands for all arenas.
        control(b'arena.4096.purge', None, None, None, 0)


def machine_memory() -> int:
    """Returns the bytes of memory of this machine, or of the cgroup if it has less."""
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(CGROUP_LIMIT.read_text()))
    return memory


def jemalloc_version() -> str | None:
    """Returns the version of jemalloc, or None if another allocator is loaded."""
    version, size = ctypes.c_char_p(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_char_p))
    if control := _library_function('mallctl'):
        control(b'version', ctypes.byref(version), ctypes.byref(size), None, 0)
    return version.value.decode().partition('-')[0] if version.value else None


def _library_function(name: str) -> Callable | None:
    """Returns a C function of this process, None if no library has it."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return getattr(ctypes.CDLL(None), name)
    return None
