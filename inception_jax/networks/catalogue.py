"""Networks by name or import path, with the changes that a config asks for."""

import dataclasses
import difflib
import importlib
import sys
from collections.abc import Mapping

from inception_jax.networks import paper, released, rules
from inception_jax.networks.network import Network
from inception_jax.networks.scaling import scaled

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
    """Returns a network by its name in `NETWORKS` or by its import path.

    An import path is `package.module:NAME`; the value must be a `Network`.

    Raises:
      ValueError: there is no such network.

    >>> load('inception_v4')
    Network('inception_v4', 1000 classes, 299x299, 42.6 M parameters)
    """
    if ':' in name:
        return _import_network(name)
    if name in NETWORKS:
        return NETWORKS[name]
    near = difflib.get_close_matches(name, NETWORKS, n=2, cutoff=0.5)
    hint = f'did you mean {" or ".join(near)}?' if near else 'it is none of the names'
    raise ValueError(
        f'unknown network {name!r}; {hint} (names: {", ".join(NETWORKS)}; '
        'your own: my_lab.nets:NET)'
    )


def check_imported(name: str, holder: object) -> None:
    """Raises ValueError if a file names a network whose code is not imported yet.

    A stranger may have written the file. Importing a module runs its code, so only the
    user's own words import one: an option, a config file or an import statement.

    Args:
      name: the name of a network in the file.
      holder: the file, for the message.

    >>> check_imported('inception_v4', 'runs/v4/config.json')
    >>> check_imported('my_lab.nets:NET', 'runs/mine/config.json')
    Traceback (most recent call last):
    ValueError: runs/mine/config.json names the network 'my_lab.nets:NET', which is \
code that would run; if you trust it, add --network my_lab.nets:NET (in Python: import \
my_lab.nets first)
    """
    module, colon, _ = name.partition(':')
    if colon and module not in sys.modules:
        raise ValueError(
            f'{holder} names the network {name!r}, which is code that would run; if '
            f'you trust it, add --network {name} (in Python: import {module} first)'
        )


def _import_network(path: str) -> Network:
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
    """Loads a network and changes it as the `network` section of a config says.

    Args:
      name: a name in `NETWORKS`, or an import path as in `my_lab.nets:NET`.
      width: as in `scaled`.
      depth: as in `scaled`.
      auxiliary: False drops the auxiliary head, True requires one.
      rule: the name of a residual rule in `RULES`, applied after all other changes.
      extra_batch_norm: whether the control of section 3.3 is applied after the rule.
      **properties: fields of `Network` such as `input_size` and `classes`. None keeps
        the value of the network.

    Raises:
      ValueError: there is no such network, stage or rule; or the network lacks the
        auxiliary head or the residual block that a change needs.

    >>> choose('inception_resnet_v1', width=0.25, depth=0.2, classes=10, input_size=75)
    Network('inception_resnet_v1', 10 classes, 75x75, 0.6 M parameters)
    """
    network = scaled(load(name), width=width, depth=depth)
    if auxiliary and not network.auxiliary:
        raise ValueError(
            f'{name} has no auxiliary head to keep; drop auxiliary=True, or give the '
            'network one with dataclasses.replace(network, auxiliary=Auxiliary(...))'
        )
    if auxiliary is False:
        network = dataclasses.replace(network, auxiliary=None)
    changes = {
        # JSON has lists in place of pairs.
        name: tuple(value) if isinstance(value, list) else value
        for name, value in properties.items()
        if value is not None
    }
    network = dataclasses.replace(network, **changes)
    if rule is not None:
        network = rules.apply_rule(rule, network)
    return rules.extra_batch_norm(network) if extra_batch_norm else network
