"""The recipe of a run: choices that change the program, and numbers that do not."""

import dataclasses
import difflib

import jax
import numpy as np

from inception_jax.initializers import SCHEMES
from inception_jax.networks.network import Network, residual_scales

Number = float | jax.Array | np.ndarray


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
        if not 0 <= self.batch_norm_decay < 1:
            raise ValueError(
                f'batch_norm_decay is {self.batch_norm_decay}; expected a share from 0 '
                'to below 1'
            )
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
    image on, and one that is not used where there are none. `weight_decay` is the
    coefficient of half the sum of squares of the kernels, `label_smoothing` the share
    spread over all classes, `clip_norm` the greatest norm of the gradient
    (Recipe.clip), `ema_decay` that of the averages for evaluation.
    """

    learning_rate: Number
    warmup_epochs: Number
    decay_rate: Number
    decay_epochs: Number
    momentum: Number
    rms_decay: Number
    rms_epsilon: Number
    clip_norm: Number
    weight_decay: Number
    label_smoothing: Number
    auxiliary_weight: Number
    dropout_rate: Number | None
    residual_scale: Number | tuple[float, ...] | None
    ema_decay: Number
    epochs: Number
    steps_per_epoch: Number


def hparams_for(network: Network, **values: float | tuple | None) -> Hparams:
    """Returns float32 leaves; None for residual scale or dropout means the network's.

    `residual_scale` may also be one number for all blocks.

    Raises:
      ValueError: a number is out of its range, or there are neither one nor as many
        scales as residual blocks.
    """
    # Without residual blocks one unused number: Orbax saves no empty arrays.
    own = residual_scales(network) or (1.0,)
    if values['residual_scale'] is None:
        values['residual_scale'] = own
    if values['dropout_rate'] is None:
        values['dropout_rate'] = network.dropout
    for name, value in values.items():
        _check_range(name, value)
    leaves = {name: np.asarray(value, np.float32) for name, value in values.items()}
    scale = leaves['residual_scale']
    if scale.shape not in ((), (1,), (len(own),)):
        raise ValueError(
            f'{scale.size} residual scales for {network.name}; give one number, or one '
            f'for each of its {len(own)} residual blocks'
        )
    leaves['residual_scale'] = np.broadcast_to(scale, len(own))
    return Hparams(**leaves)


def _check_range(name: str, value: float | tuple) -> None:
    """Raises ValueError where a number makes no sense; any finite scale does."""
    if not np.isfinite(value).all():
        raise ValueError(f'{name} is {value}; expected a finite number')
    if name in (
        'momentum',
        'rms_decay',
        'label_smoothing',
        'dropout_rate',
        'ema_decay',
    ):
        if not 0 <= value < 1:
            raise ValueError(f'{name} is {value}; expected a share from 0 to below 1')
    elif name in ('decay_epochs', 'decay_rate', 'clip_norm', 'rms_epsilon'):
        if not value > 0:
            raise ValueError(f'{name} is {value}; expected a number above 0')
    elif name != 'residual_scale' and not value >= 0:
        raise ValueError(f'{name} is {value}; expected 0 or more')


def _check_choice(field: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        near = difflib.get_close_matches(str(given), choices, n=1)
        hint = f'; did you mean {near[0]}?' if near else ''
        raise ValueError(f'{field} {given!r} is none of {", ".join(choices)}{hint}')
