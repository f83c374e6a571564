"""The compilation cache: compiled programs in a folder make the next start faster.

JAX reads and writes the folder; commands choose it. `JAX_COMPILATION_CACHE_DIR=` or
`JAX_ENABLE_COMPILATION_CACHE=false` turns the cache off. A program from the cache is
the program that was compiled, so results with the cache are bit-identical.
"""

import contextlib
import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from importlib import metadata
from pathlib import Path

CPUINFO = Path('/proc/cpuinfo')
# The fields that decide which machine code runs: on x86, and on ARM.
CPU_FIELDS = (
    *('vendor_id', 'cpu family', 'model', 'flags'),
    *('CPU implementer', 'CPU architecture', 'CPU part', 'Features'),
)
OFF = ('0', 'false', 'f', 'no', 'n', 'off')
MOST_BYTES = 5 * 2**30
# JAX caches programs that take at least this long to compile. Its default of one second
# omits half of a run's programs.
LEAST_SECONDS = 0.1


def enable_cache(environ: MutableMapping[str, str]) -> None:
    """Sets the folder of the compilation cache, if the folder is writable."""
    off = environ.get('JAX_ENABLE_COMPILATION_CACHE', '').lower() in OFF
    if off or 'JAX_COMPILATION_CACHE_DIR' in environ:
        return
    # Raised without a home, without permission, or if JAX is not an installed package.
    with contextlib.suppress(OSError, RuntimeError, metadata.PackageNotFoundError):
        folder = cache_folder(environ)
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            trim_cache(folder.parent)
            _set(environ, 'JAX_COMPILATION_CACHE_DIR', str(folder))
            _set(environ, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', LEAST_SECONDS)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns the folder of this user, this version of XLA and this kind of processor.

    Machines that share a home may not be able to run each other's machine code.
    """
    caches = Path(environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    version = metadata.version('jaxlib')
    return caches / 'inception_jax' / f'xla-{version}-{machine_digest()}'


def machine_digest(cpuinfo: Path = CPUINFO) -> str:
    """Returns 8 hexadecimal digits for the kind of processor and its instructions."""
    kind = [platform.machine()]
    with contextlib.suppress(OSError):
        first, _, _ = cpuinfo.read_text().partition('\n\n')
        lines = (line.partition(':') for line in first.splitlines())
        kind += [value for field, _, value in lines if field.strip() in CPU_FIELDS]
    return hashlib.sha256('\n'.join(kind).encode()).hexdigest()[:8]


def trim_cache(folder: Path, most: int = MOST_BYTES) -> None:
    """Removes the least recently used files until the rest is at most `most` bytes.

    JAX can limit the cache too, but takes a lock for each read. JAX also stops writing
    if a process was killed between the two files that belong to a program
    (github.com/jax-ml/jax/issues/39880).
    """
    files = sorted(_used(folder), reverse=True)
    for _, size, path in files:
        most -= size
        if most < 0:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _used(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Yields the time of last use, the size in bytes and the path of each file."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with contextlib.suppress(OSError):
                status = os.stat(path)
                used = max(status.st_atime, status.st_mtime)
                yield used, status.st_size, path


def _set(environ: MutableMapping[str, str], name: str, value: str | float) -> None:
    """Sets a variable that is not set, for JAX already imported or imported later."""
    if name not in environ:
        environ[name] = str(value)
        if jax := sys.modules.get('jax'):
            jax.config.update(name.lower(), value)
