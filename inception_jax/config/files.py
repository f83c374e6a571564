"""Config files, and changes to their fields."""

import importlib.util
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inception_jax.config.overrides import Config


def load_config(path: str | Path, **changes: Any) -> 'Config':
    """Loads a config file and changes fields of the config.

    The result is a plain dict of seven sections: network, recipe, hparams, data, run,
    verdicts, parallel. `train` and `sweep` check its values.

    >>> config = load_config('configs/quickstart.py', residual_scale=1.0, seed=7)
    >>> config['hparams']['residual_scale'], config['run']['seed']
    (1.0, 7)

    Args:
      path: a Python file with a function `get_config`, or FILE:ARGUMENT to call it with
        an argument.
      **changes: as in `config_with`.

    Raises:
      ValueError: there is no such file or field, or the file has an error.
    """
    return config_with(_get_config(str(path)), **changes)


def config_from_arguments(path: str, arguments: Sequence[str]) -> 'Config':
    """Loads a config file and applies arguments `--config.section.field=value`.

    Raises:
      ValueError: there is no such file or field, or an argument has another form.
    """
    from inception_jax.config.overrides import literal

    changes = {}
    for argument in arguments:
        name, equals, value = argument.removeprefix('--config.').partition('=')
        if not argument.startswith('--config.') or not equals:
            raise ValueError(
                f'unknown argument {argument}; see --help, and set fields of the '
                'config with --config.section.field=value'
            )
        changes[name] = literal(value)
    return load_config(path, **changes)


def config_with(config: Any, **changes: Any) -> 'Config':
    """Returns a complete config as a plain dict, with other values for some fields.

    Args:
      config: a mapping, a ConfigDict or an Experiment.
      **changes: values by the name of a field, such as `residual_scale=1.0`; or the
        changes of a section, such as `run={'epochs': 1}`. A dotted name, for a field
        that two sections have or for an entry of a value, is given as
        `**{'network.width.stem': 0.5}`.

    Raises:
      ValueError: there is no such field.
    """
    from inception_jax.config.experiment import Experiment, completed
    from inception_jax.config.overrides import override

    if isinstance(config, Experiment):
        config = config.config
    if hasattr(config, 'to_dict'):
        config = config.to_dict()
    config = completed(config)
    for section in config.keys() & changes.keys():
        fields = changes.pop(section)
        if not isinstance(fields, Mapping):
            raise ValueError(
                f'config.{section} is a section; expected a mapping of its fields, got '
                f'{fields!r}'
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
