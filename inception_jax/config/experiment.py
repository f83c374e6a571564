"""From a config to typed values: a section is the fields of one dataclass."""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any

from inception_jax.config.overrides import unknown_field, value_at
from inception_jax.config.sections import DataSection, NetworkSection, RunSection
from inception_jax.networks.catalogue import check_imported, choose
from inception_jax.networks.network import Network
from inception_jax.parallel.mesh import Parallel
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.annotations import annotation_text, fits
from inception_jax.runtime.paths import local_path
from inception_jax.stability.verdicts import Thresholds
from inception_jax.steps.by_block import block_names, select_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe

# Beyond this number a float32 is not finite.
LARGEST = 3e38

SECTIONS = {
    'network': NetworkSection,
    'recipe': Recipe,
    'hparams': Hparams,
    'data': DataSection,
    'run': RunSection,
    'verdicts': Thresholds,
    'parallel': Parallel,
}


def config_fields(section: type) -> dict[str, dataclasses.Field]:
    """Returns the fields of a section's dataclass that a config may set, by name.

    A field with the metadata `computed` is left out: the run computes it.
    """
    fields = dataclasses.fields(section)
    return {f.name: f for f in fields if not f.metadata.get('computed')}


# Dotted names of the fields that may change when a run resumes.
MAY_CHANGE_ON_RESUME = frozenset(
    f'{section}.{name}'
    for section, target in SECTIONS.items()
    for name, field in config_fields(target).items()
    if field.metadata.get('may_change_on_resume')
)


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A checked config as typed values.

    `classes` is None if the data decides the number of classes. `hparams` are keyword
    arguments of `hparams_for`. `config` is the completed config.
    """

    network: Network
    classes: int | None
    recipe: Recipe
    hparams: dict[str, Any]
    data: DataSection
    run: RunSection
    verdicts: Thresholds
    parallel: Parallel
    config: dict[str, Any]

    def __repr__(self) -> str:
        settings = f'{counted(self.run.epochs, "epoch")}, seed {self.run.seed}'
        return f'Experiment({self.network.name}, {self.data.source}, {settings})'


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with the default of each field that it leaves out.

    Configs of older versions lack fields, and the section `parallel`, whose fields all
    have defaults.
    """
    full = dict(config)
    for name, target in SECTIONS.items():
        fields = config_fields(target)
        defaults = {n: f.default for n, f in fields.items() if _has_default(f)}
        if name not in full and len(defaults) < len(fields):
            continue
        if isinstance(section := full.get(name, {}), Mapping):
            full[name] = defaults | section
    return full


def experiment(config: Mapping[str, Any]) -> Experiment:
    """Checks a config of seven sections and returns its typed values.

    Raises:
      ValueError: a field is unknown, missing, of the wrong type or out of range.

    >>> from inception_jax.config.files import load_config
    >>> quickstart = experiment(load_config('configs/quickstart.py'))
    >>> quickstart.recipe.optimizer, quickstart.run.batch_size
    ('rmsprop', 32)
    """
    for name, section in config.items():
        if not isinstance(section, Mapping):
            raise ValueError(
                f'config.{name} is {section!r}; expected a section of fields'
            )
    config = completed({name: dict(section) for name, section in config.items()})
    _check_names('config.', config, SECTIONS, required=SECTIONS)
    for name, target in SECTIONS.items():
        _check_section(name, config[name], config_fields(target))
    if isinstance(weights := config['recipe']['init_from'], str):
        config['recipe']['init_from'] = os.path.abspath(local_path(weights))
    values = {n: SECTIONS[n](**config[n]) for n in SECTIONS if n != 'hparams'}
    section = values['network']
    values['network'] = network = choose(**vars(section))
    recipe = values['recipe']
    _check_stages(network, recipe.remat)
    _check_frozen(network, recipe)
    # The same run, however the names were written.
    config['recipe']['frozen'] = list(recipe.frozen)
    return Experiment(
        classes=section.classes,
        hparams=dict(config['hparams']),
        config=config,
        **values,
    )


def recorded_experiment(
    config: Mapping[str, Any], holder: object, network: str | None = None
) -> Experiment:
    """Returns the typed values of a config that a file holds.

    Args:
      holder: the file, for the message.
      network: the name that the user gives to the network. Without it, a network that
        is code must have been imported already.

    Raises:
      ValueError: as in `experiment`; or the network has another name, or is code that
        is not imported.
    """
    name = value_at(config, 'network.name')
    if network is not None and network != name:
        raise ValueError(f'{holder} names the network {name!r}, not {network!r}')
    if network is None and isinstance(name, str):
        check_imported(name, holder)
    return experiment(config)


def _check_stages(network: Network, remat: tuple[str, ...]) -> None:
    stages = [*(stage.name for stage in network.stages), 'all']
    for name in remat:
        if name not in stages:
            raise ValueError(
                f'config.recipe.remat names {name!r}; {network.name} has the stages '
                f'{", ".join(stages)}'
            )


def _check_frozen(network: Network, recipe: Recipe) -> None:
    """Raises ValueError if a name matches no block, or no block is left to train."""
    factors = dict(recipe.rate_factors)
    for field, names in (('frozen', recipe.frozen), ('rate_factors', factors)):
        for name in names:
            if not select_blocks(network, [name]):
                raise ValueError(
                    f'config.recipe.{field} names {name!r}; {network.name} has '
                    f'{", ".join(_selectable_names(network))}, and their blocks'
                )
    frozen = set(select_blocks(network, recipe.frozen))
    if frozen == set(block_names(network)):
        raise ValueError(
            f'config.recipe.frozen is {", ".join(recipe.frozen)}, which is all of '
            f'{network.name}; leave out the blocks to train, e.g. logits'
        )
    for name in factors:
        if frozen.issuperset(select_blocks(network, [name])):
            raise ValueError(
                f'config.recipe.rate_factors names {name!r}, and config.recipe.frozen '
                'freezes it; name it in one of them'
            )


def _selectable_names(network: Network) -> list[str]:
    """Lists the names of the stages, the heads, and `trunk` for all stages."""
    heads = [name for name in ('logits', 'auxiliary') if name in block_names(network)]
    return [*(stage.name for stage in network.stages), *heads, 'trunk']


def _check_section(
    section: str, values: Mapping[str, Any], fields: Mapping[str, dataclasses.Field]
) -> None:
    """Raises ValueError unless the values are those of the fields."""
    required = [name for name, field in fields.items() if not _has_default(field)]
    _check_names(f'config.{section}.', values, fields, required)
    for name, value in values.items():
        if not _is_plain(value):
            raise ValueError(
                f'config.{section}.{name} is {value!r:.60}; expected finite numbers '
                'and printable names'
            )
        if not fits(value, fields[name].type):
            raise ValueError(
                f'config.{section}.{name} is {value!r}; expected '
                f'{annotation_text(fields[name].type)}'
            )


def _is_plain(value: Any) -> bool:
    """Whether all numbers in a value are usual ones, and all names are text."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, str):
        return '\0' not in value
    is_number = isinstance(value, int | float)
    return not is_number or -LARGEST < value < LARGEST


def _has_default(field: dataclasses.Field) -> bool:
    return field.default is not dataclasses.MISSING


def _check_names(
    prefix: str, names: Iterable[str], known: Iterable[str], required: Iterable[str]
) -> None:
    for name in names:
        if name not in known:
            raise ValueError(unknown_field(prefix, name, known))
    missing = [prefix + name for name in required if name not in names]
    if missing:
        raise ValueError(f'the config lacks {", ".join(missing)}; give it a value')
