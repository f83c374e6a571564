"""Where compiled programs are kept on the disk, so that a command starts faster again.

JAX does the keeping. Commands name it a folder, unless the user has named one or none:
`JAX_COMPILATION_CACHE_DIR=` or `JAX_ENABLE_COMPILATION_CACHE=false` turns it off. What
is read is what was compiled, so a run has the same bits with it and without.
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
# What tells machine code apart in it: on x86, and on ARM.
CPU_FIELDS = (
    *('vendor_id', 'cpu family', 'model', 'flags'),
    *('CPU implementer', 'CPU architecture', 'CPU part', 'Features'),
)
OFF = ('0', 'false', 'f', 'no', 'n', 'off')
MOST_BYTES = 5 * 2**30
# JAX keeps what takes so long to compile; its own second leaves out half of a run's.
LEAST_SECONDS = 0.1


def enable_cache(environ: MutableMapping[str, str]) -> None:
    """Names a folder for compiled programs where one can be written."""
    off = environ.get('JAX_ENABLE_COMPILATION_CACHE', '').lower() in OFF
    if off or 'JAX_COMPILATION_CACHE_DIR' in environ:
        return
    # No home, no right to write, or a JAX that was not installed as a package.
    with contextlib.suppress(OSError, RuntimeError, metadata.PackageNotFoundError):
        folder = cache_folder(environ)
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            trim_cache(folder.parent)
            _set(environ, 'JAX_COMPILATION_CACHE_DIR', str(folder))
            _set(environ, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', LEAST_SECONDS)


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Returns the folder of this user, this version of XLA and this kind of machine.

    A home may be shared by machines of which one cannot run the code of another.
    """
    caches = Path(environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
    return (
        caches
        / 'inception_jax'
        / f'xla-{metadata.version("jaxlib")}-{machine_digest()}'
    )


def machine_digest(cpuinfo: Path = CPUINFO) -> str:
    """Returns a short digest of the kind of processor and of what it can do."""
    kind = [platform.machine()]
    with contextlib.suppress(OSError):
        first, _, _ = cpuinfo.read_text().partition('\n\n')
        lines = (line.partition(':') for line in first.splitlines())
        kind += [value for field, _, value in lines if field.strip() in CPU_FIELDS]
    return hashlib.sha256('\n'.join(kind).encode()).hexdigest()[:8]


def trim_cache(folder: Path, most: int = MOST_BYTES) -> None:
    """Removes what was not used for longest until the files are at most so many bytes.

    JAX would do it with a lock that each read waits for, and once a process is killed
    between its two files it writes no more (github.com/jax-ml/jax/issues/39880).
    """
    files = sorted(_used(folder), reverse=True)
    for _, size, path in files:
        most -= size
        if most < 0:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _used(folder: Path) -> Iterator[tuple[float, int, str]]:
    """Yields when each file below a folder was last used, its size and its path."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            with contextlib.suppress(OSError):
                status = os.stat(path)
                used = max(status.st_atime, status.st_mtime)
                yield used, status.st_size, path


def _set(environ: MutableMapping[str, str], name: str, value: str | float) -> None:
    """Sets a variable that is not set; JAX reads it when it is imported."""
    if name not in environ:
        environ[name] = str(value)
        if jax := sys.modules.get('jax'):
            jax.config.update(name.lower(), value)
