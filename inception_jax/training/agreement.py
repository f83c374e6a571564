"""The facts that all processes of a run must share before its first step."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from inception_jax.config.experiment import Experiment
from inception_jax.config.overrides import flatten
from inception_jax.runtime.numeric_settings import DEFAULTS
from inception_jax.runtime.version import VERSION
from inception_jax.training.prepare import PreparedRun

# Machines may have the same files at different places, and different numbers of cores.
# The identity of the run compares the content of the files.
MACHINE_FIELDS = ('data.data_dir', 'data.workers', 'recipe.init_from')

# Settings of JAX that change random numbers or the arithmetic; newer JAX lacks some.
SETTINGS = ('jax_default_prng_impl', 'jax_threefry_partitionable', *DEFAULTS)
VARIABLES = ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
PACKAGES = ('jax', 'jaxlib', 'numpy', 'flax', 'optax')


def command_facts(experiment: Experiment, workdir: Path) -> dict[str, Any]:
    """Returns the config, the versions and the settings of a process by name."""
    config = flatten(experiment.config)
    return {
        'inception_jax': VERSION,
        'Python': platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
        **{f'config.{n}': x for n, x in config.items() if n not in MACHINE_FIELDS},
        **{name: str(getattr(jax.config, name, None)) for name in SETTINGS},
        **{name: sorted(os.environ.get(name, '').split()) for name in VARIABLES},
        '--workdir': str(workdir.resolve()),
    }


def run_facts(run: PreparedRun) -> dict[str, Any]:
    """Returns the network, the data, the weights and the devices of a run by name."""
    local = jax.local_devices()
    identity = {n: x for n, x in run.identity.items() if n not in ('config', 'data')}
    return {
        **{f'the {name}': value for name, value in identity.items()},
        **{
            f'{name} of the {split} split': value
            for split, data in run.identity['data'].items()
            for name, value in data.items()
        },
        'devices': f'{len(local)} x {local[0].device_kind}',
    }
