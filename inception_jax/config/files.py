"""Config files, and changes to their fields."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
        dotted name: `**{'network.width.stem': 0.5}`.

    Raises:
      ValueError: there is no such file or field, or the file has an error.
    """
    from inception_jax.config.experiment import completed
    from inception_jax.config.overrides import override

    return override(completed(_get_config(str(path))), changes)


def _get_config(path: str) -> dict:
    """Calls `get_config` of FILE, with ARGUMENT if the path is FILE:ARGUMENT."""
    from ml_collections import ConfigDict

    file, *argument = path.split(':', 1)
    spec = importlib.util.spec_from_file_location('config', file)
    if spec is None or not Path(file).is_file():
        raise ValueError(f'config {file}: there is no such Python file; see configs/')
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
