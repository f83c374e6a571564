"""Config files, and what the command line changes in them."""

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path


def load_config(path: str, rest: list[str]) -> dict:
    """Loads a config file and sets the fields of `--config.section.field=value`.

    Raises:
      ValueError: there is no such file or field, or an argument of another kind.
    """
    from inception_jax.config.experiment import completed
    from inception_jax.config.overrides import literal, override

    chosen, changes = _get_config(path), {}
    for argument in rest:
        name, equals, value = argument.removeprefix('--config.').partition('=')
        if not argument.startswith('--config.') or not equals:
            raise ValueError(
                f'unknown argument {argument}; see --help, and set fields of the '
                'config by --config.section.field=value'
            )
        changes[name] = literal(value)
    return override(completed(chosen), changes)


def _hint(path: str) -> str:
    """Returns where a missing config file is today."""
    if old := re.search(r'imagenet_(inception_\w+)\.py(?::(.*))?$', path):
        return f'use {path[: old.start()]}imagenet.py:{old[2] or old[1]}'
    return 'the configs of inception_jax are in the folder configs/ of a clone'


def _get_config(path: str) -> dict:
    """Calls `get_config` of FILE, with ARG if the path is FILE:ARG."""
    from ml_collections import ConfigDict

    file, *argument = path.split(':', 1)
    spec = importlib.util.spec_from_file_location('config', file)
    if spec is None or not Path(file).is_file():
        raise ValueError(f'--config {file}: no such Python file; {_hint(path)}')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config(*argument)
    except Exception as error:
        kind = type(error).__name__
        raise ValueError(
            f'--config {path} cannot be loaded: {kind}: {error}'
        ) from error
    if not isinstance(config, Mapping | ConfigDict):
        raise ValueError(
            f'get_config of {file} returns a {type(config).__name__}; expected a '
            'ConfigDict'
        )
    return ConfigDict(config).to_dict()
