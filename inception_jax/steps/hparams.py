"""Hyper-parameters that an experiment varies: traced numbers."""

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np

from inception_jax.networks.network import Network, residual_scales, trunk
from inception_jax.networks.ops import residuals

Number = float | jax.Array | np.ndarray


# In place of a constant rate of the warm-up: the rate rises on a straight line.
LINEAR = -1.0


# Numbers that may be negative.
ANY_SIGN = ('residual_scale', 'residual_scale_start')


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hparams:
    """The numbers that an experiment varies: float32 leaves, so none costs a
    compilation.

    Lengths are in epochs. In the first `warmup_epochs` the rate is
    `warmup_learning_rate`, or rises linearly where that is below 0. `residual_scale` is
    one number per residual block, from the image on, and one that is not used where
    there are none; it is reached from `residual_scale_start` on a straight line of
    `residual_scale_epochs`.
    `weight_decay` is the coefficient of half the sum of squares of the kernels,
    `label_smoothing` the share spread over all classes, `clip_norm` the greatest norm
    of the gradient (Recipe.clip), `ema_decay` that of the averages for evaluation.
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
    """Returns float32 leaves; None for residual scale or dropout means the network's.

    A residual scale may also be one number for all blocks, or numbers by stage; blocks
    of other stages keep the network's. Without a start it is constant. Without a rate
    for the warm-up the rate rises linearly.

    Raises:
      ValueError: a number is out of its range or lacks the one that it goes with, there
        are neither one nor as many scales as residual blocks, or a stage has none.
    """
    _check_pairs(values)
    scales = _scales(network, values['residual_scale'], residual_scales(network))
    start = _scales(network, values['residual_scale_start'], scales)
    values |= {'residual_scale': scales, 'residual_scale_start': start}
    if values['dropout_rate'] is None:
        values['dropout_rate'] = network.dropout
    for name, value in values.items():
        if value is not None:
            _check_range(name, value)
    if values['warmup_learning_rate'] is None:
        values['warmup_learning_rate'] = LINEAR
    return Hparams(**{n: np.asarray(v, np.float32) for n, v in values.items()})


def _scales(network: Network, given, otherwise: tuple) -> tuple[float, ...]:
    """Returns a number per residual block; `otherwise` are those of blocks not given.

    Without residual blocks it is one unused number: Orbax saves no empty arrays.
    """
    stages = [block.stage for block in trunk(network) for _ in residuals(block.op)]
    if given is None:
        return tuple(otherwise) or (1.0,)
    if isinstance(given, Mapping):
        for stage in given:
            if stage not in stages:
                raise ValueError(
                    f'no stage {stage!r} of {network.name} has residual blocks; those '
                    f'that have are {", ".join(dict.fromkeys(stages)) or "none"}'
                )
        pairs = zip(stages, otherwise, strict=True)
        return tuple(given.get(stage, own) for stage, own in pairs) or (1.0,)
    given = np.ravel(given).tolist()
    if len(given) not in (1, len(stages)):
        raise ValueError(
            f'{len(given)} residual scales for {network.name}; give one number, or one '
            f'for each of its {len(stages)} residual blocks'
        )
    return tuple(given * max(1, len(stages)) if len(given) == 1 else given)


def _check_pairs(values: Mapping) -> None:
    """Raises ValueError where a number would do nothing without another."""
    start, length = values['residual_scale_start'], values['residual_scale_epochs']
    if (start is not None) != (length > 0):
        raise ValueError(
            f'residual_scale_start is {start} and residual_scale_epochs is {length}; '
            'give both, the latter above 0, or neither (None and 0.0)'
        )
    rate, length = values['warmup_learning_rate'], values['warmup_epochs']
    if rate is not None and not length > 0:
        raise ValueError(
            f'warmup_learning_rate is {rate} and warmup_epochs is {length}; give the '
            'latter above 0, or leave out the rate (None)'
        )


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
    elif name not in ANY_SIGN and not value >= 0:
        raise ValueError(f'{name} is {value}; expected 0 or more')
