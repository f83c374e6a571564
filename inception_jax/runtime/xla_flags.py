"""Flags of XLA that make these networks faster; commands set them, imports do not.

XLA reads the variable XLA_FLAGS when JAX first looks for devices, and ends the process
where it does not know one. A flag is set only where the installed XLA knows it and the
user has not named it there. So a flag of `FLAGS` is turned off by naming it oneself
with XLA's own value: `XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=`, or
`XLA_FLAGS=--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_DEFAULT`.
"""

import importlib.util
import itertools
import mmap
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path

# By platform; which one it is nobody knows before JAX starts, so all are set, and the
# flags of another platform do nothing.
FLAGS = {
    # Matrix products and sums by the library YNNPACK instead of Eigen and loops of
    # XLA's own: both made train steps faster on two cores (docs/speed.md). Its
    # convolutions (INDIVIDUAL_CONVOLUTION) and elementwise loops made them slower.
    'cpu': (
        '--xla_cpu_experimental_ynn_fusion_type='
        'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE',
        # The order of operations that takes the least memory. XLA's own is for many
        # small ones at once, and each of a step is large enough to fill two cores.
        '--xla_cpu_scheduler_type=CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED',
    ),
    # None: xla_gpu_enable_latency_hiding_scheduler, off by itself and on in NVIDIA's
    # images of JAX, hides messages between devices and nothing on one, and has taken
    # five times the memory (github.com/jax-ml/jax/issues/20763). Not measured here.
    'gpu': (),
    # None: what is recommended is for messages of sharded parameters (openxla.org/xla/
    # flags_guidance); libtpu has defaults of its own. Not measured here.
    'tpu': (),
}

# Each brings a library with an XLA of its own, which reads XLA_FLAGS too.
PACKAGES = ('jaxlib', 'libtpu', 'jax_plugins')


def add_flags(environ: MutableMapping[str, str]) -> None:
    """Adds to XLA_FLAGS what is faster, known and not named there."""
    given = environ.get('XLA_FLAGS', '').strip()
    if given and not given.startswith('-'):
        return  # The user's flags are in a file of this name.
    named = {_name(flag) for flag in given.split()}
    flags = itertools.chain.from_iterable(FLAGS.values())
    new = [flag for flag in flags if _name(flag) not in named and _known(flag)]
    if new:
        environ['XLA_FLAGS'] = ' '.join([*new, given]).strip()


def _known(flag: str) -> bool:
    """Tells whether every XLA that is installed knows a flag."""
    try:
        files = libraries()
        return bool(files) and all(library_knows(file, flag) for file in files)
    except (OSError, ValueError):
        return False  # One cannot be read, or is empty.


def _name(flag: str) -> str:
    return flag.partition('=')[0].lstrip('-')


def libraries(packages: Iterable[str] = PACKAGES) -> list[Path]:
    """Returns the library of each XLA that is installed; imports none of them.

    Its name has changed with versions; it is by far the largest file of its folder.
    """
    found = []
    for package in packages:
        for folder in _folders(package):
            files = [path for path in folder.iterdir() if path.is_file()]
            found += sorted(files, key=lambda path: path.stat().st_size)[-1:]
    return found


def _folders(package: str) -> Iterator[Path]:
    """Yields the folders that may hold a library: of the package, or of each plugin."""
    spec = importlib.util.find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        if package == 'jax_plugins':
            yield from (path for path in Path(folder).iterdir() if path.is_dir())
        else:
            yield Path(folder)


def library_knows(library: Path, flag: str) -> bool:
    """Tells whether a library has the name of a flag in it, and those of its values.

    Values other than names in capitals, such as numbers, are taken to be known.
    """
    words = [value for value in flag.partition('=')[2].split(',') if value.isupper()]
    with (
        library.open('rb') as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return all(content.find(w.encode()) >= 0 for w in (_name(flag), *words))
