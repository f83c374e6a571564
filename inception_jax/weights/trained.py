"""A network with its values, to be applied: the averages of a run, or a weight file."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh

from inception_jax.config.sections import DataSection
from inception_jax.model.initializers import initial_variables
from inception_jax.networks.network import Network, fingerprint, residual_scales
from inception_jax.parallel.mesh import device_mesh
from inception_jax.weights import weight_file


class Trained(NamedTuple):
    """A network, its variables, and what else is needed to apply it.

    `section` are the arguments of `networks.choose` that give the network, without its
    classes. `variables` are float32 by the names of the classifier, `scales` float32
    [residual blocks], `dtype` that of the convolutions, `mesh` the devices that apply
    it. `about` says what they are, `origin` and `licence` what a weight file does. Of a
    run there are its `data`, what it found of its evaluation images as `prepare.about`
    has it, and the `batch_size`.
    """

    network: Network
    section: dict[str, Any]
    variables: dict[str, Any]
    scales: np.ndarray
    class_names: tuple[str, ...]
    dtype: str
    mesh: Mesh
    about: dict[str, Any]
    origin: dict[str, Any]
    licence: str | None = None
    data: DataSection | None = None
    images: dict[str, Any] | None = None
    batch_size: int | None = None


def trained_weights(path: Path, network: str | None = None) -> Trained:
    """Returns what a weight file holds; `network` is the name that it must have.

    Raises:
      ValueError: there is no such file, it is damaged, or of another network.
    """
    file = weight_file.find_weights(path)
    found, about = weight_file.weight_network(file, network), file.about
    like = initial_variables(found, seed=0, scheme='zeros')
    scales = about.residual_scale or network_scales(found)
    return Trained(
        network=found,
        section=about.network,
        variables=weight_file.load_weights(file, like),
        scales=np.asarray(scales, np.float32),
        class_names=about.classes,
        dtype='float32',
        mesh=device_mesh(),
        about={
            'network': found.name,
            'fingerprint': fingerprint(found),
            'residual_scale': about.residual_scale,
            'weights': file.sha256,
        },
        origin=about.origin,
        licence=about.licence,
    )


def network_scales(network: Network) -> tuple[float, ...]:
    """Returns the residual scales of a network, one that is not used without any."""
    return residual_scales(network) or (1.0,)
