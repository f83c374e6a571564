"""A network with its values, to be applied: the averages of a run, or a weight file."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from inception_jax import history, parallel, prepare
from inception_jax.initializers import initial_variables
from inception_jax.networks.network import Network, fingerprint, residual_scales
from inception_jax.resume import newest
from inception_jax.schedules import residual_scale
from inception_jax.settings import Data
from inception_jax.weights import own


class Trained(NamedTuple):
    """A network, its variables, and what else is needed to apply it.

    `section` are the arguments of `networks.choose` that give the network, without its
    classes. `variables` are float32 by the names of the classifier, `scales` float32
    [residual blocks], `dtype` that of the convolutions, `mesh` the devices that apply
    it. `about` says where they are from. Of a run there are its `data` and the
    `batch_size`.
    """

    network: Network
    section: dict[str, Any]
    variables: dict[str, Any]
    scales: np.ndarray
    class_names: tuple[str, ...]
    dtype: str
    mesh: Mesh
    about: dict[str, Any]
    data: Data | None
    batch_size: int | None


def of_run(workdir: Path, step: int | None = None) -> Trained:
    """Returns the averages of a run, after a step or of its newest checkpoint.

    Raises:
      ValueError: there is no such run or step.
    """
    p = prepare.recorded(workdir)
    state, _ = newest(p) if step is None else history.state_at(p, step)
    chosen = p.experiment
    about = {
        'network': p.network.name,
        'fingerprint': fingerprint(p.network),
        'residual_scale': chosen.hparams.get('residual_scale'),
        'seed': chosen.run.seed,
        'step': int(state.step),
        'parameters': 'averages',
    }
    given = chosen.config['network'].items()
    section = {n: x for n, x in given if x is not None and n != 'classes'}
    return Trained(
        p.network,
        section,
        state.ema,
        jax.device_get(residual_scale(state.step, state.hparams)),
        p.train_source.class_names,
        chosen.recipe.dtype,
        p.mesh,
        about,
        chosen.data,
        chosen.run.batch_size,
    )


def of_weights(path: Path, network: str | None = None) -> Trained:
    """Returns what a weight file holds; `network` is the name that it must have.

    Raises:
      ValueError: there is no such file, it is damaged, or of another network.
    """
    about = own.about(path)
    value = own.network_of(path, about, network)
    like = initial_variables(value, seed=0, scheme='zeros')
    own_scales = residual_scales(value) or (1.0,)
    return Trained(
        value,
        about.network,
        own.load(path, about, like),
        np.asarray(about.residual_scale or own_scales, np.float32),
        about.classes,
        'float32',
        parallel.mesh_of(),
        {
            'network': value.name,
            'fingerprint': fingerprint(value),
            'residual_scale': about.residual_scale,
            'weights': about.sha256,
        },
        None,
        None,
    )
