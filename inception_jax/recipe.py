"""The recipe of a run: choices that change the program, and numbers that do not."""

import dataclasses
import difflib
from typing import Any

import jax
import numpy as np

from inception_jax.initializers import SCHEMES
from inception_jax.networks.network import Network, residual_scales


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices that change the compiled program.

    `optimizer` is rmsprop or momentum, `schedule` exponential, cosine or constant,
    `clip` whether gradients are clipped to `Hparams.clip_norm`, `dtype` that of the
    convolutions, `colour` the distortion none, fast or full of the authors' code.
    """

    optimizer: str
    schedule: str
    clip: bool
    initializer: str
    batch_norm_decay: float
    dtype: str
    flip: bool
    colour: str

    def __post_init__(self):
        _check_choice('optimizer', self.optimizer, ('rmsprop', 'momentum'))
        _check_choice('schedule', self.schedule, ('exponential', 'cosine', 'constant'))
        _check_choice('initializer', self.initializer, SCHEMES)
        _check_choice('dtype', self.dtype, ('float32', 'bfloat16'))
        _check_choice('colour', self.colour, ('none', 'fast', 'full'))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hparams:
    """The numbers that an experiment varies: float32 leaves, so none costs a
    compilation.

    Lengths are in epochs. `residual_scale` is one number per residual block, from the
    image on. `weight_decay` is the coefficient of half the sum of squares of the
    kernels, `label_smoothing` the share spread over all classes, `clip_norm` the
    greatest norm of the gradient (Recipe.clip), `ema_decay` that of the averages for
    evaluation.
    """

    learning_rate: Any
    warmup_epochs: Any
    decay_rate: Any
    decay_epochs: Any
    momentum: Any
    rms_decay: Any
    rms_epsilon: Any
    clip_norm: Any
    weight_decay: Any
    label_smoothing: Any
    auxiliary_weight: Any
    dropout_rate: Any
    residual_scale: Any
    ema_decay: Any
    epochs: Any
    steps_per_epoch: Any


def hparams_for(network: Network, **values: float | None) -> Hparams:
    """Returns float32 leaves; None for residual scale or dropout means the network's.

    `residual_scale` may also be one number for all blocks.
    """
    own = residual_scales(network)
    if values['residual_scale'] is None:
        values['residual_scale'] = own
    if values['dropout_rate'] is None:
        values['dropout_rate'] = network.dropout
    leaves = {name: np.asarray(value, np.float32) for name, value in values.items()}
    leaves['residual_scale'] = np.broadcast_to(leaves['residual_scale'], len(own))
    return Hparams(**leaves)


def _check_choice(field: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        near = difflib.get_close_matches(str(given), choices, n=1)
        hint = f'; did you mean {near[0]}?' if near else ''
        raise ValueError(f'{field} {given!r} is none of {", ".join(choices)}{hint}')
