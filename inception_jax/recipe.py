"""The recipe of a run: choices that change the program, and numbers that do not."""

import dataclasses
import difflib
from collections.abc import Mapping

import jax
import numpy as np

from inception_jax.model import execution
from inception_jax.model.initializers import SCHEMES
from inception_jax.networks.network import Network, residual_scales, trunk
from inception_jax.networks.ops import residuals

Number = float | jax.Array | np.ndarray

# In place of a constant rate of the warm-up: the rate rises on a straight line.
LINEAR = -1.0

# Numbers that may be negative.
ANY_SIGN = ('residual_scale', 'residual_scale_start')


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices that change the compiled program, and what a run begins with.

    That does not change it, so recipes that differ in nothing else are equal.

    `optimizer` is rmsprop or momentum, `schedule` exponential, cosine or constant,
    `clip` whether gradients are clipped to `Hparams.clip_norm`, `dtype` that of the
    convolutions, `colour` the distortion none, fast or full of the authors' code.

    A batch goes through the network in `accumulation` micro-batches. The stages in
    `remat`, or 'all', are computed again in the backward pass instead of being kept.
    With `skip_non_finite` an update that is not finite is left out.

    A run begins with values that the initialiser draws, or with those of the weight
    file `init_from`, with `new_head` all but those of the heads.

    The blocks in `frozen` stay as they are, their batch norm with the statistics that
    it has stored. The updates of those in `rate_factors` are multiplied by a number; it
    is kept as pairs. Both name blocks, stages, or `trunk`: all blocks but the heads.
    Several names are a tuple, or stand with commas in a text.

    `execution` is fast, plain, or fast less some levers (execution.Execution): how the
    network is computed, not what.
    """

    optimizer: str
    schedule: str
    clip: bool
    initializer: str = dataclasses.field(compare=False)
    batch_norm_decay: float
    dtype: str
    flip: bool
    colour: str
    accumulation: int = 1
    remat: str | tuple[str, ...] = ()
    skip_non_finite: bool = False
    init_from: str | None = dataclasses.field(default=None, compare=False)
    new_head: bool = dataclasses.field(default=False, compare=False)
    frozen: str | tuple[str, ...] = ()
    rate_factors: Mapping[str, float] | None = None
    execution: str = 'fast'

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
        execution.check(self.execution)
        if self.new_head and self.init_from is None:
            raise ValueError(
                'new_head is set without init_from; every head is new then'
            )
        if self.accumulation < 1:
            raise ValueError(f'accumulation is {self.accumulation}; expected 1 or more')
        for field in ('remat', 'frozen'):
            given = getattr(self, field)
            names = given.split(',') if isinstance(given, str) else given
            names = tuple(filter(None, map(str.strip, names)))
            object.__setattr__(self, field, names)
        factors = dict(self.rate_factors or ())
        _check_factors(factors)
        object.__setattr__(self, 'rate_factors', tuple(sorted(factors.items())))


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
    epochs: Number
    steps_per_epoch: Number


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


def _check_factors(factors: Mapping[str, float]) -> None:
    """Raises ValueError where a factor of the learning rate makes no sense."""
    for name, factor in factors.items():
        if not 0 < factor < np.inf:
            raise ValueError(
                f'rate_factors of {name} is {factor}; expected a finite number above '
                f'0; to keep {name} as it is, name it in frozen'
            )


def _check_choice(field: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        near = difflib.get_close_matches(str(given), choices, n=1)
        hint = f'; did you mean {near[0]}?' if near else ''
        raise ValueError(f'{field} {given!r} is none of {", ".join(choices)}{hint}')
