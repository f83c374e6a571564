"""The recipe of a run: the choices that change the compiled program."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from inception_jax.model.classifier_input import DTYPES
from inception_jax.model.execution import check_execution
from inception_jax.model.initializers import SCHEMES
from inception_jax.runtime import choices

OPTIMIZERS = ('rmsprop', 'momentum')
SCHEDULES = ('exponential', 'cosine', 'constant')
COLOURS = ('none', 'fast', 'full')


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The choices that change the compiled program, and the initial values of a run.

    The initial values (`initializer`, `init_from`, `new_head`) do not change the
    program: recipes that differ only in them are equal. The recipe of a config is
    `experiment.recipe`. `frozen` and `rate_factors` name blocks, stages, or `trunk`,
    which means all blocks but the heads. `frozen` and `remat` are stored as tuples,
    `rate_factors` as sorted pairs.

    Attributes:
      optimizer: rmsprop or momentum.
      schedule: how the learning rate changes: exponential, cosine or constant.
      clip: whether gradients are clipped to the norm `hparams.clip_norm`.
      initializer: how kernels are drawn: he, lecun, glorot or truncated_normal.
      batch_norm_decay: the decay of the running batch statistics, from 0 to below 1.
      dtype: the dtype of the convolutions, float32 or bfloat16.
      flip: whether training images are mirrored at random.
      colour: the colour distortion of training images: none, or fast or full as in the
        authors' code.
      accumulation: the number of micro-batches of a batch, one after another.
      remat: the stages, or 'all', that are recomputed in the backward pass to save
        memory. A list, or names separated by commas.
      skip_non_finite: whether an update that is not finite is skipped.
      init_from: a weight file to start from. None starts from random weights.
      new_head: whether the heads start from random weights although `init_from` is set.
      frozen: the blocks that are not trained; their batch norm uses stored statistics.
        A list, or names separated by commas.
      rate_factors: the factors on the updates of blocks, by name; 0 keeps the weights
        of a block. None changes no rate.
      execution: fast, plain, or fast without some levers, e.g. fast-siblings. It does
        not change the result, up to rounding.

    Raises:
      ValueError: a field has another value.

    >>> recipe = Recipe(
    ...     optimizer='rmsprop', schedule='exponential', clip=True, initializer='he',
    ...     batch_norm_decay=0.9997, dtype='bfloat16', flip=True, colour='fast',
    ... )
    >>> recipe == dataclasses.replace(recipe, initializer='lecun')
    True
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
        choices.check('optimizer', self.optimizer, OPTIMIZERS)
        choices.check('schedule', self.schedule, SCHEDULES)
        choices.check('initializer', self.initializer, SCHEMES)
        choices.check('dtype', self.dtype, DTYPES)
        choices.check('colour', self.colour, COLOURS)
        check_execution(self.execution)
        if self.new_head and self.init_from is None:
            raise ValueError(
                'new_head is set without init_from, and has no effect; set init_from, '
                'or leave out new_head'
            )
        if self.accumulation < 1:
            raise ValueError(f'accumulation is {self.accumulation}; expected 1 or more')
        for field in ('remat', 'frozen'):
            names = getattr(self, field)
            names = names.split(',') if isinstance(names, str) else names
            names = tuple(filter(None, map(str.strip, names)))
            object.__setattr__(self, field, names)
        factors = dict(self.rate_factors or ())
        _check_factors(factors)
        object.__setattr__(self, 'rate_factors', tuple(sorted(factors.items())))


def _check_factors(factors: Mapping[str, float]) -> None:
    """Raises ValueError if a factor of the learning rate is below 0."""
    for name, factor in factors.items():
        if not 0 <= factor < np.inf:
            raise ValueError(
                f'rate_factors of {name} is {factor}; expected a finite number of 0 or '
                'more'
            )
