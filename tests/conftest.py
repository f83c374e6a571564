"""Strict settings for every test, and the networks that they share."""

import dataclasses
import os
import signal
import tempfile

import jax
import pytest

from inception_jax.networks import NETWORKS, load, scaled

# Tests compile more than they compute. These flags halve the time of compilation;
# programs then run slower, and round in other places.
FLAGS = [
    '--xla_backend_optimization_level=0',
    # Devices on busy cores wait long for each other; XLA would abort after 40 s.
    '--xla_cpu_collective_call_terminate_timeout_seconds=600',
]
if jax.__version_info__ < (0, 11):  # XLA aborts at a flag that it does not know.
    # The older emitters compile twice as fast. Without optimization they compile second
    # derivatives wrongly if a program is compiled in parts, so it is one part.
    FLAGS.append('--xla_cpu_use_fusion_emitters=false')
    FLAGS.append('--xla_cpu_parallel_codegen_split_count=1')
os.environ.setdefault('XLA_FLAGS', ' '.join(FLAGS))

# A process in the background of a script begins with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest.register_assert_rewrite('helpers')

# Tests share compiled programs through a cache on disk, also across processes.
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    CACHE = tempfile.TemporaryDirectory()
    os.environ['JAX_COMPILATION_CACHE_DIR'] = CACHE.name
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.2'
    # JAX writes an entry in place: a process that is killed may leave half of one.
    os.environ['PYTHONWARNINGS'] = ','.join(
        f'ignore:Error {doing} persistent compilation cache entry'
        for doing in ('reading', 'writing')
    )
    jax.config.update('jax_compilation_cache_dir', CACHE.name)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.2)
jax.config.update('jax_num_cpu_devices', int(os.environ.get('JAX_NUM_CPU_DEVICES', 4)))
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_numpy_dtype_promotion', 'strict')
jax.devices()  # XLA reads its flags now, before a test changes the environment.


@pytest.fixture(scope='session')
def networks():
    return tuple(NETWORKS.values())


@pytest.fixture(scope='session')
def small():
    """Returns a tenth of the width, a block a stage, 75 pixels and 10 classes."""

    def shrink(name):
        network = scaled(load(name), width=0.1, depth=0.01)
        return dataclasses.replace(network, input_size=75, classes=10)

    return shrink
