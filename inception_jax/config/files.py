"""Config files, and changes to their fields."""

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_jax.runtime.paths import local_path

if TYPE_CHECKING:
    from inception_jax.config.overrides import Config


def load_config(path: str | Path, /, **changes: Any) -> 'Config':
    """Loads a config file and changes fields of the config.

    The result is a plain dict of seven sections: network, recipe, hparams, data, run,
    verdicts, parallel. `experiment`, `train` and `sweep` check its values.

    >>> config = load_config('configs/quickstart.py', residual_scale=1.0, seed=7)
    >>> config['hparams']['residual_scale'], config['run']['seed']
    (1.0, 7)

    Args:
      path: a Python file with a function `get_config`, or FILE:ARGUMENT to call it with
        an argument.
      changes: values by the name of a field. If two sections have the field, give its
        dotted name: `**{'network.width.stem': 0.5}`. A section takes a mapping of its
        fields: `run={'epochs': 1}`.

    Raises:
      ValueError: there is no such file or field, or the file has an error.
    """
    return config_with(_get_config(str(local_path(path))), **changes)


def config_with(config: Any, /, **changes: Any) -> 'Config':
    """Returns a complete config as nested dicts, with other values for some fields.

    Args:
      config: a mapping of sections, a ConfigDict, an Experiment or the path of a config
        file.
      changes: values by the name of a field, as in `load_config`.

    Raises:
      ValueError: there is no such file or field.
    """
    from inception_jax.config.experiment import Experiment, completed
    from inception_jax.config.overrides import override

    if isinstance(config, str | os.PathLike):
        config = _get_config(os.fspath(config))
    if isinstance(config, Experiment):
        config = config.config
    if hasattr(config, 'to_dict'):
        config = config.to_dict()
    if not isinstance(config, Mapping):
        raise ValueError(
            f'a config is {config!r}; expected what load_config returns, or the path '
            'of a config file'
        )
    config = completed(config)
    # JSON and the checks of types know the numbers of Python, not those of NumPy.
    changes = {n: x.tolist() if hasattr(x, 'tolist') else x for n, x in changes.items()}
    for section in config.keys() & changes.keys():
        fields = changes.pop(section)
        if not isinstance(fields, Mapping):
            raise ValueError(
                f'config.{section} is a section, and its value is {fields!r}; give a '
                'mapping of its fields'
            )
        changes |= {f'{section}.{name}': value for name, value in fields.items()}
    return override(config, changes)


def _hint(path: str) -> str:
    """Returns where a missing config file is today."""
    if old := re.search(r'imagenet_(inception_\w+)\.py(?::(.*))?$', path):
        return f'use {path[: old.start()]}imagenet.py:{old[2] or old[1]}'
    return 'the configs of inception_jax are in the folder configs/ of a clone'


def _get_config(path: str) -> dict:
    """Calls `get_config` of FILE, with ARGUMENT if the path is FILE:ARGUMENT."""
    from ml_collections import ConfigDict

    file, *argument = path.split(':', 1)
    spec = importlib.util.spec_from_file_location('config', file)
    if spec is None or not Path(file).is_file():
        raise ValueError(f'config {file}: no such Python file; {_hint(path)}')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*argument)
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(f'config {path} cannot be loaded: {kind}: {error}') from error
    if not isinstance(config, Mapping | ConfigDict):
        raise ValueError(
            f'get_config of {file} returns a {type(config).__name__}; expected a '
            'ConfigDict'
        )
    return ConfigDict(config).to_dict()
