"""The recipe of a run: choices that change the program, and numbers that do not."""

import dataclasses
import difflib
from collections.abc import Mapping

import numpy as np

from inception_jax.model import execution
from inception_jax.model.initializers import SCHEMES


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
    remat: str | tuple[str, ...] = dataclasses.field(
        default=(), metadata={'may_change_on_resume': True}
    )
    skip_non_finite: bool = False
    init_from: str | None = dataclasses.field(
        default=None, compare=False, metadata={'may_change_on_resume': True}
    )
    new_head: bool = dataclasses.field(default=False, compare=False)
    frozen: str | tuple[str, ...] = ()
    rate_factors: Mapping[str, float] | None = None
    execution: str = dataclasses.field(
        default='fast', metadata={'may_change_on_resume': True}
    )

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
        execution.check_execution(self.execution)
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
