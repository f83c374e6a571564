"""Config files, and changes to their fields."""

import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_jax.runtime.choices import nearest
from inception_jax.runtime.paths import local_path

if TYPE_CHECKING:
    from inception_jax.config.overrides import Config

# In a clone this folder is a link to configs/; the wheel holds a copy.
SHIPPED = Path(__file__).parents[1] / 'configs'


def load_config(path: str | Path, /, **changes: Any) -> 'Config':
    """Loads a config file and changes fields of the config.

    The result is a plain dict of seven sections: network, recipe, hparams, data, run,
    verdicts, parallel. `experiment`, `train` and `sweep` check its values.

    >>> config = load_config('configs/quickstart.py', residual_scale=1.0, seed=7)
    >>> config['hparams']['residual_scale'], config['run']['seed']
    (1.0, 7)

    Args:
      path: a Python file with a function `get_config`, or FILE:ARGUMENT to call it with
        an argument. If there is no such file, the name of a config that comes with the
        package: `quickstart`, or `imagenet:inception_v4`.
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


def shipped_configs() -> dict[str, Path]:
    """Returns the config files that come with the package, by name.

    >>> list(shipped_configs())
    ['cifar10', 'imagenet', 'photos', 'quickstart', 'stability']
    """
    return {path.stem: path for path in sorted(SHIPPED.glob('*.py'))}


def _hint(path: str) -> str:
    """Returns how to name the config instead of a missing file."""
    if old := re.search(r'imagenet_(inception_\w+)\.py(?::(.*))?$', path):
        return f'use {path[: old.start()]}imagenet.py:{old[2] or old[1]}'
    names = shipped_configs()
    near = nearest(Path(path.split(':')[0]).stem, names)
    question = f'; did you mean {near}?' if near else ''
    return f'the package has the configs {", ".join(names)}{question}'


def _get_config(path: str) -> dict:
    """Calls `get_config` of FILE, with ARGUMENT if the path is FILE:ARGUMENT."""
    from ml_collections import ConfigDict

    file, *argument = path.split(':', 1)
    if not Path(file).is_file():
        file = str(shipped_configs().get(file, file))
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
