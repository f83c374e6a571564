"""The hyper-parameters that an experiment varies, as traced numbers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from inception_jax.networks.network import Network, residual_scales
from inception_jax.networks.rules import scale_per_sum
from inception_jax.runtime import choices
from inception_jax.steps.boundaries import constant_epochs, staircase_epochs

Number = float | jax.Array | np.ndarray

# The value of `warmup_learning_rate` that stands for a linear warm-up.
LINEAR_WARMUP = -1.0

# The defaults of `hparams_for`: no schedule, or the number of the network for None.
OPTIONAL = {
    'warmup_epochs': 0.0,
    'warmup_learning_rate': None,
    'dropout_rate': None,
    'residual_scale': None,
    'residual_scale_start': None,
    'residual_scale_epochs': 0.0,
}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hparams:
    """The numbers that an experiment varies.

    They are traced float32 arrays, so that a changed number does not recompile a step.
    `hparams_for` makes them: it checks ranges and fills in the numbers of a network.
    The attribute `hparams` of an experiment is a dict of all fields but `epochs` and
    `steps_per_epoch`.

    Some arrays differ from the values of a config. `warmup_learning_rate` is below 0
    for a linear warm-up. `residual_scale` has one number for each residual block, and
    one unused number without residual blocks. `hparams_for` changes `decay_epochs`, and
    the length of a constant warm-up, by a few roundings, so that the learning rate
    changes at the right update.

    >>> import jax
    >>> numbers = dict.fromkeys(Hparams.__dataclass_fields__, 0.1)
    >>> jax.jit(lambda hparams: 2 * hparams.learning_rate)(Hparams(**numbers)).item()
    0.20000000298023224

    Attributes:
      learning_rate: the learning rate after warm-up and before decay.
      warmup_epochs: the length of the warm-up, in epochs; 0 for none.
      warmup_learning_rate: the constant learning rate of the warm-up. None means a
        linear warm-up.
      decay_rate: the factor by which the exponential schedule multiplies the learning
        rate.
      decay_epochs: the number of epochs between two decays.
      momentum: the momentum of the optimizer, from 0 to below 1.
      rms_decay: the decay of the mean square in RMSProp, from 0 to below 1.
      rms_epsilon: the number that RMSProp adds to the mean square, above 0.
      clip_norm: the largest norm of the gradient, if `recipe.clip` is set; above 0.
      weight_decay: the coefficient of half the sum of squares of the kernels.
      label_smoothing: the share of a label that is spread over all classes.
      auxiliary_weight: the weight of the loss of the auxiliary head.
      dropout_rate: the share of the final features to drop, from 0 to below 1. None
        takes the share of the network.
      residual_scale: the scale of the residual branches: one number, one number for
        each residual block from the image on, or numbers by stage. None takes the
        scales of the network.
      residual_scale_start: the scales at the first step, in the form of
        `residual_scale`. None keeps the scales constant.
      residual_scale_epochs: the number of epochs over which the scales change linearly
        from `residual_scale_start` to `residual_scale`; 0 for constant scales.
      ema_decay: the decay of the EMA weights, from 0 to below 1.
      epochs: the length of the run.
      steps_per_epoch: the number of steps in an epoch.
    """

    learning_rate: Number
    warmup_epochs: Number
    warmup_learning_rate: Number | None
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
    residual_scale: Number | tuple[float, ...] | Mapping[str, float] | None
    residual_scale_start: Number | tuple[float, ...] | Mapping[str, float] | None
    residual_scale_epochs: Number
    ema_decay: Number
    epochs: Number = dataclasses.field(metadata={'computed': True})
    steps_per_epoch: Number = dataclasses.field(metadata={'computed': True})


def hparams_for(network: Network, **values: float | tuple | Mapping | None) -> Hparams:
    """Returns the hyper-parameters of a network as float32 arrays.

    Args:
      values: the fields of `Hparams`; fields in `OPTIONAL` may be omitted. `None` for
        `dropout_rate` or `residual_scale` means the value of the network; for
        `residual_scale_start`, a constant scale; for `warmup_learning_rate`, a rate
        that rises linearly. A residual scale is one number for all residual blocks, one
        per block, or numbers by stage, where blocks of other stages keep the scale of
        the network.

    Raises:
      ValueError: a number is missing, out of its range, or has no effect without
        another number; the number of residual scales differs from the number of
        residual blocks; or a stage has no residual blocks.

    >>> from inception_jax.networks import load
    >>> hparams = hparams_for(
    ...     load('inception_resnet_v1'), residual_scale={'a': 0.3},
    ...     learning_rate=0.045, decay_rate=0.94, decay_epochs=2.0, momentum=0.9,
    ...     rms_decay=0.9, rms_epsilon=1.0, clip_norm=2.0, weight_decay=4e-5,
    ...     label_smoothing=0.1, auxiliary_weight=0.4, ema_decay=0.9999, epochs=160.0,
    ...     steps_per_epoch=2002.0,
    ... )
    >>> hparams.residual_scale.shape, hparams.residual_scale.dtype
    ((20,), dtype('float32'))
    """
    values = OPTIONAL | values
    _check_names(values)
    _check_pairs(values)
    scales = _scale_per_block(
        network, values['residual_scale'], residual_scales(network)
    )
    start = _scale_per_block(network, values['residual_scale_start'], scales)
    values |= {'residual_scale': scales, 'residual_scale_start': start}
    if values['dropout_rate'] is None:
        values['dropout_rate'] = network.dropout
    for name, value in values.items():
        if value is not None:
            _check_range(name, value)
    values = _with_boundaries(values)
    if values['warmup_learning_rate'] is None:
        values['warmup_learning_rate'] = LINEAR_WARMUP
    return Hparams(**{n: np.asarray(v, np.float32) for n, v in values.items()})


def _with_boundaries(values: Mapping[str, Any]) -> dict[str, Any]:
    """Rounds the lengths of schedules so that rates change at the right updates."""
    steps = float(values['steps_per_epoch'])
    if not steps > 0:
        return dict(values)
    lengths = {
        'decay_epochs': staircase_epochs(
            float(values['decay_epochs']),
            epochs=float(values['epochs']),
            steps_per_epoch=steps,
        )
    }
    if values['warmup_learning_rate'] is not None:
        lengths['warmup_epochs'] = constant_epochs(
            float(values['warmup_epochs']), steps_per_epoch=steps
        )
    return values | lengths


def _check_names(values: Mapping[str, Any]) -> None:
    """Raises ValueError if a field is missing or unknown."""
    names = [field.name for field in dataclasses.fields(Hparams)]
    for name in values:
        choices.check('the hyper-parameter', name, names)
    if missing := [name for name in names if name not in values]:
        raise ValueError(f'the hparams lack {", ".join(missing)}; give each a number')


def _scale_per_block(
    network: Network, scale: Any, default: tuple[float, ...]
) -> tuple[float, ...]:
    """Returns one scale per residual block, from `default` where `scale` has none.

    Without residual blocks it returns one unused number, because Orbax saves no empty
    arrays.
    """
    if scale is None:
        return tuple(default) or (1.0,)
    if isinstance(scale, Mapping):
        return scale_per_sum(network, scale, default) or (1.0,)
    scales = np.ravel(scale).tolist()
    if len(scales) == 1:
        return tuple(scales * max(1, len(residual_scales(network))))
    return scale_per_sum(network, scales, default)


def _check_pairs(values: Mapping[str, Any]) -> None:
    """Raises ValueError if a number has no effect without another number."""
    start, length = values['residual_scale_start'], values['residual_scale_epochs']
    if (start is not None) != (length > 0):
        raise ValueError(
            f'residual_scale_start is {start} and residual_scale_epochs is {length}; '
            'set both, with epochs above 0, or neither (None and 0.0)'
        )
    rate, length = values['warmup_learning_rate'], values['warmup_epochs']
    if rate is not None and not length > 0:
        raise ValueError(
            f'warmup_learning_rate is {rate} and warmup_epochs is {length}; set '
            'warmup_epochs above 0, or leave out the rate (None)'
        )


_SHARES = ('momentum', 'rms_decay', 'label_smoothing', 'dropout_rate', 'ema_decay')
_POSITIVE = ('decay_epochs', 'decay_rate', 'clip_norm', 'rms_epsilon')
_ANY_SIGN = ('residual_scale', 'residual_scale_start')


def _check_range(name: str, value: float | tuple) -> None:
    """Raises ValueError if a number is out of its range."""
    if not (np.abs(value) < np.finfo(np.float32).max).all():
        raise ValueError(f'{name} is {value}; expected a finite number')
    if name in _SHARES:
        if not 0 <= value < 1:
            raise ValueError(f'{name} is {value}; expected a share from 0 to below 1')
    elif name in _POSITIVE:
        if not np.float32(value) > 0:
            raise ValueError(f'{name} is {value}; expected a number above 0')
    elif name not in _ANY_SIGN and not value >= 0:
        raise ValueError(f'{name} is {value}; expected 0 or more')
