"""The memory of a process: what compiling took and what a step takes are there once."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator

import jax

# What JAX calls the end of a compilation, or of reading a compiled program.
COMPILED = '/jax/core/compile/backend_compile_duration'

# What compiles faster leaves nothing that is worth a look at all free memory.
LEAST_SECONDS = 1.0


def compute_where_called() -> None:
    """Has a program for one CPU computed by the call itself, not beside the caller.

    Beside it the temporaries of a step may outlive the step until the next has taken
    its own, as large again. For commands, before JAX starts its devices; no variable
    says it. Other devices have queues of their own, which stay.
    """
    jax.config.update('jax_cpu_enable_async_dispatch', False)


@contextlib.contextmanager
def trimmed_memory() -> Iterator[None]:
    """Gives back what each compilation leaves, until the end of the block.

    A step's program takes more than a gigabyte to compile, which the allocator keeps
    for later; the step would need its own beside that.
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
    """Has jemalloc give back what is free if it is here, or the C library if it can."""
    if trim := _function('malloc_trim'):
        trim(0)
    if control := _function('mallctl'):
        control(b'arena.4096.purge', None, None, None, 0)  # 4096: of all arenas


def jemalloc_version() -> str | None:
    """Returns the version of jemalloc, None where another allocator is in its place."""
    version, size = ctypes.c_char_p(), ctypes.c_size_t(ctypes.sizeof(ctypes.c_char_p))
    if control := _function('mallctl'):
        control(b'version', ctypes.byref(version), ctypes.byref(size), None, 0)
    return version.value.decode().partition('-')[0] if version.value else None


def _function(name: str) -> Callable | None:
    """Returns a function of the libraries of this process, None if there is none."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        return getattr(ctypes.CDLL(None), name)
    return None
