"""From a config to typed values: a section is the keyword arguments of one of them."""

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from inception_jax.config.annotations import annotation_text, fits
from inception_jax.config.overrides import unknown_field
from inception_jax.config.sections import Data, Run
from inception_jax.networks.catalogue import choose
from inception_jax.networks.network import Network
from inception_jax.parallel.mesh import Parallel
from inception_jax.stability.verdicts import Thresholds
from inception_jax.steps.by_block import block_names, select_blocks
from inception_jax.steps.hparams import Hparams
from inception_jax.steps.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config, checked. `classes` is None where the data decides."""

    network: Network
    classes: int | None
    recipe: Recipe
    hparams: dict[str, Any]
    data: Data
    run: Run
    verdicts: Thresholds
    parallel: Parallel
    config: dict[str, Any]


# The sections that are keyword arguments of one value each.
SECTIONS = {
    'recipe': Recipe,
    'data': Data,
    'run': Run,
    'verdicts': Thresholds,
    'parallel': Parallel,
}


def completed(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config with the fields that it may leave out, as older ones do."""
    full = dict(config)
    for name, target in SECTIONS.items():
        fields = dataclasses.fields(target)
        defaults = {
            f.name: f.default for f in fields if f.default is not dataclasses.MISSING
        }
        if isinstance(section := full.get(name, {}), Mapping):
            full[name] = defaults | section
    if isinstance(network := full.get('network'), Mapping):
        own = inspect.signature(choose).parameters.values()
        given = {p.name: p.default for p in own if p.default is not p.empty}
        # None is what the network has.
        full['network'] = given | dict.fromkeys(_network_fields()) | network
    return full


def experiment(config: Mapping[str, Any]) -> Experiment:
    """Checks a config of seven sections and makes values of it.

    Raises:
      ValueError: a field is unknown, missing, of the wrong type or out of range.
    """
    for name, section in config.items():
        if not isinstance(section, Mapping):
            raise ValueError(
                f'config.{name} is {section!r}; expected a section of fields'
            )
    sections = ('network', 'hparams', *SECTIONS)
    needed = [name for name in sections if name != 'parallel']
    _check_names('', config, sections, required=needed)
    config = completed({name: dict(section) for name, section in config.items()})
    if isinstance(weights := config['recipe']['init_from'], str):
        config['recipe']['init_from'] = os.path.abspath(weights)
    network = _arguments('network', choose, config['network'])
    hparams = _arguments(
        'hparams', Hparams, config['hparams'], filled=('epochs', 'steps_per_epoch')
    )
    found = Experiment(
        network=choose(**network),
        classes=network.get('classes'),
        hparams=hparams,
        config=config,
        **{
            name: target(**_arguments(name, target, config[name]))
            for name, target in SECTIONS.items()
        },
    )
    _check_stages(found.network, found.recipe.remat)
    _check_frozen(found.network, found.recipe)
    # However it was spelt, it is the same run.
    config['recipe']['frozen'] = list(found.recipe.frozen)
    return found


def _check_stages(network: Network, remat: tuple[str, ...]) -> None:
    stages = [*(stage.name for stage in network.stages), 'all']
    for name in remat:
        if name not in stages:
            raise ValueError(
                f'config.recipe.remat names {name!r}; {network.name} has the stages '
                f'{", ".join(stages)}'
            )


def _check_frozen(network: Network, recipe: Recipe) -> None:
    """Raises ValueError where a name means no block, or none is left to train."""
    factors = dict(recipe.rate_factors)
    for field, given in (('frozen', recipe.frozen), ('rate_factors', factors)):
        for name in given:
            if not select_blocks(network, [name]):
                raise ValueError(
                    f'config.recipe.{field} names {name!r}; {network.name} has '
                    f'{", ".join(_groups(network))}, and their blocks'
                )
    frozen = set(select_blocks(network, recipe.frozen))
    if frozen == set(block_names(network)):
        raise ValueError(
            f'config.recipe.frozen is {", ".join(recipe.frozen)}, which is all of '
            f'{network.name}; leave out what is to be trained, e.g. logits'
        )
    for name in factors:
        if frozen.issuperset(select_blocks(network, [name])):
            raise ValueError(
                f'config.recipe.rate_factors names {name!r}, and config.recipe.frozen '
                'freezes it; name it in one of them'
            )


def _groups(network: Network) -> list[str]:
    """Lists the names of stages, of heads, and of all stages together."""
    heads = [name for name in ('logits', 'auxiliary') if name in block_names(network)]
    return [*(stage.name for stage in network.stages), *heads, 'trunk']


def _arguments(
    section: str, target: Callable, given: Mapping[str, Any], filled: tuple = ()
) -> dict[str, Any]:
    """Returns `given` if it is a set of keyword arguments of `target`."""
    parameters = _parameters(target)
    names = [name for name in parameters if name not in filled]
    required = [n for n in names if parameters[n].default is inspect.Parameter.empty]
    _check_names(section, given, names, required)
    hints = {n: parameters[n].annotation for n in names}
    for name, value in given.items():
        if not fits(value, hints[name]):
            raise ValueError(
                f'config.{section}.{name} is {value!r}; expected '
                f'{annotation_text(hints[name])}'
            )
    return dict(given)


def _parameters(target: Callable) -> dict[str, inspect.Parameter]:
    """Lists parameters; keywords that `choose` passes on are the fields of Network."""
    parameters = dict(inspect.signature(target).parameters)
    if target is choose:
        del parameters['properties']
        parameters |= _network_fields()
    return parameters


def _network_fields() -> dict[str, inspect.Parameter]:
    """Lists the fields of a network that a config may give another value, or None."""
    fields = inspect.signature(Network).parameters
    skip = {'name', 'stages', 'auxiliary'}
    return {
        name: p.replace(annotation=p.annotation | None)
        for name, p in fields.items()
        if name not in skip
    }


def _check_names(section, given, names, required) -> None:
    prefix = f'config.{section}.' if section else 'config.'
    for name in given:
        if name not in names:
            raise ValueError(unknown_field(prefix, name, names))
    missing = [prefix + name for name in required if name not in given]
    if missing:
        raise ValueError(f'the config lacks {", ".join(missing)}; give it a value')
