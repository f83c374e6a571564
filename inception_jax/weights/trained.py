"""A trained network with its variables, from a run or from a weight file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from inception_jax.config.sections import DataSection
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.network import Network, fingerprint, residual_scales
from inception_jax.parallel.mesh import device_mesh
from inception_jax.runtime.amounts import counted
from inception_jax.steps.by_block import without_blocks
from inception_jax.weights.weight_file import (
    HEAD,
    WeightFile,
    find_weights,
    load_variables,
    weight_network,
)


class Trained(NamedTuple):
    """A network, its variables, and what else is needed to apply it.

    Attributes:
      network: the network as a value.
      section: the arguments of `choose` that give the network, without its classes.
      variables: `params` and `batch_stats` of the classifier, float32; of a run, the
        EMA weights.
      scales: the residual scales, float32 [residual blocks].
      class_names: the names of the classes in their order; none if the weights have no
        head, whose variables are 0 then.
      dtype: the type of the convolutions.
      mesh: the devices that apply the network.
      metadata: the identity of the weights as JSON values.
      origin: where the weights come from.
      licence: what may be done with them, if known.
      data: of a run, its data section.
      images: of a run, the identity of its evaluation images.
      batch_size: of a run, its batch size.
    """

    network: Network
    section: dict[str, Any]
    variables: dict[str, Any]
    scales: np.ndarray
    class_names: tuple[str, ...]
    dtype: str
    mesh: Mesh
    metadata: dict[str, Any]
    origin: dict[str, Any]
    licence: str | None = None
    data: DataSection | None = None
    images: dict[str, Any] | None = None
    batch_size: int | None = None

    def __repr__(self) -> str:
        names = self.class_names
        classes = counted(len(names), 'class', 'classes') if names else 'no head'
        return f'Trained({self.network.name}, {classes})'


def load_weights(path: str | Path, network: str | None = None) -> Trained:
    """Returns the network and the variables of a weight file.

    Args:
      path: FILE.safetensors, with FILE.json beside it.
      network: the name that the network must have. A network of your own,
        `package.module:NAME`, is imported only if it is named here.

    Raises:
      ValueError: a file is missing or damaged, or belongs to another network.

    >>> load_weights('missing.safetensors')
    Traceback (most recent call last):
      ...
    ValueError: missing.safetensors does not exist
    """
    file = find_weights(Path(path))
    value, info = weight_network(file, network), file.info
    like = initial_variables(value, seed=0, scheme='zeros')
    scales = info.residual_scale or network_scales(value)
    return Trained(
        network=value,
        section=info.network,
        variables=_with_head(file, like),
        scales=np.asarray(scales, np.float32),
        class_names=info.classes,
        dtype='float32',
        mesh=device_mesh(),
        metadata={
            'network': value.name,
            'fingerprint': fingerprint(value),
            'residual_scale': info.residual_scale,
            'weights': file.sha256,
        },
        origin=info.origin,
        licence=info.licence,
    )


def _with_head(file: WeightFile, like: dict[str, Any]) -> dict[str, Any]:
    """Returns the variables of a file, with zeros in place of a head that it lacks."""
    if file.info.classes:
        return load_variables(file, like)
    trunk = {name: without_blocks(tree, HEAD) for name, tree in like.items()}
    loaded = load_variables(file, trunk)
    return {name: tree | loaded[name] for name, tree in like.items()}


def check_trained(value: Any) -> None:
    """Raises TypeError for anything else than a trained network, such as a path."""
    if not isinstance(value, Trained):
        raise TypeError(
            f'{value!r:.80} is not a trained network, a run or a path; open one with '
            'ij.trained(path)'
        )


def check_head(trained: Trained) -> None:
    """Raises ValueError if the weights have no head to compute logits with."""
    if not trained.class_names:
        raise ValueError(
            f'the weights of {trained.network.name} have no head, which convert '
            '--trunk left out; they serve features (predict --features pool) and '
            'fine-tuning (config.recipe.init_from with new_head=true)'
        )


def network_scales(network: Network) -> tuple[float, ...]:
    """Returns the residual scales of a network; (1.0,) if it has no residual blocks."""
    return residual_scales(network) or (1.0,)
