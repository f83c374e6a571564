"""Memory that compiling took, given back to the system before a step needs its own."""

import contextlib
import ctypes
from collections.abc import Iterator

import jax

# What JAX calls the end of a compilation, or of reading a compiled program.
COMPILED = '/jax/core/compile/backend_compile_duration'

# What compiles faster leaves nothing that is worth a look at all free memory.
LEAST_SECONDS = 1.0


@contextlib.contextmanager
def trimmed() -> Iterator[None]:
    """Gives back what each compilation leaves, until the end of the block.

    A step's program takes more than a gigabyte to compile, which the C library keeps
    for later; the step would need its own beside that.
    """

    def listen(event: str, seconds: float, **_) -> None:
        if event == COMPILED and seconds > LEAST_SECONDS:
            trim()

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def trim() -> None:
    """Has the C library give back what is free, if it can: glibc does."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
