"""Config files as plain dictionaries."""

import importlib.util

from helpers.paths import CONFIGS


def config(name='quickstart', **sections):
    name, *network = name.split(':')
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    settings = module.get_config(*network).to_dict()
    for section, fields in sections.items():
        settings[section] = settings[section] | fields
    return settings
