"""Networks by name, by import path, and with the changes that a config asks for."""

import dataclasses
import difflib
import importlib
from collections.abc import Mapping

from inception_jax.networks import paper, released, rules
from inception_jax.networks.network import Network, scaled

NETWORKS = {
    network.name: network
    for network in (
        paper.INCEPTION_V3,
        paper.INCEPTION_V4,
        paper.INCEPTION_RESNET_V1,
        paper.INCEPTION_RESNET_V2,
        released.INCEPTION_V4_SLIM,
        released.INCEPTION_RESNET_V2_SLIM,
        released.INCEPTION_RESNET_V1_FACENET,
        released.INCEPTION_V3_TORCHVISION,
    )
}


def load(name: str) -> Network:
    """Returns the network of that name, or the value at `package.module:NAME`.

    Raises:
      ValueError: there is no such network.
    """
    if ':' in name:
        return _imported(name)
    if name in NETWORKS:
        return NETWORKS[name]
    near = difflib.get_close_matches(name, NETWORKS, n=2, cutoff=0.5)
    hint = f'did you mean {" or ".join(near)}?' if near else 'it is none of the names'
    raise ValueError(
        f'unknown network {name!r}; {hint} (names: {", ".join(NETWORKS)}; '
        'your own: my_lab.nets:NET)'
    )


def _imported(path: str) -> Network:
    module, _, attribute = path.partition(':')
    try:
        value = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        raise ValueError(
            f'cannot load network {path!r}: {type(error).__name__}: {error}; expected '
            'package.module:NAME that Python can import from here'
        ) from error
    if not isinstance(value, Network):
        raise ValueError(
            f'{path!r} is of type {type(value).__name__}; expected a Network'
        )
    return value


def choose(
    name: str,
    *,
    width: float | Mapping[str, float] = 1.0,
    depth: float | Mapping[str, float] = 1.0,
    auxiliary: bool | None = None,
    rule: str | None = None,
    extra_batch_norm: bool = False,
    **properties,
) -> Network:
    """Loads a network and changes it; the arguments are a config's `network` section.

    `width` and `depth` are those of `scaled`, `properties` the fields of `Network`,
    such as `input_size` and `classes`. None leaves what the network has. `auxiliary`
    False drops the auxiliary head. `rule` is one of `rules.RULES` and
    `extra_batch_norm` the control of section 3.3, both applied last.

    Raises:
      ValueError: there is no such network, stage or rule, no auxiliary head to keep, or
        no residual block where one is needed.
    """
    network = scaled(load(name), width=width, depth=depth)
    if auxiliary and not network.auxiliary:
        raise ValueError(
            f'{name} has no auxiliary head to keep; drop auxiliary=True, or give the '
            'network one with dataclasses.replace(network, auxiliary=Auxiliary(...))'
        )
    if auxiliary is False:
        network = dataclasses.replace(network, auxiliary=None)
    given = {
        # From JSON a pair is a list.
        key: tuple(value) if isinstance(value, list) else value
        for key, value in properties.items()
        if value is not None
    }
    network = dataclasses.replace(network, **given)
    if rule is not None:
        network = rules.apply_rule(rule, network)
    return rules.extra_batch_norm(network) if extra_batch_norm else network
