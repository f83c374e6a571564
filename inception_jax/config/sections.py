"""The sections of a config that no other folder has a value for."""

import dataclasses
import math
from typing import ClassVar

from inception_jax.data.geometry import check_range


@dataclasses.dataclass(frozen=True)
class Data:
    """Where images come from and how much of each a training crop takes.

    `area` is the range of the crop's share of the image, `aspect` that of its width
    divided by its height. `data_dir` is the folder of TFDS, None for TFDS_DATA_DIR. An
    image that cannot be read ends the run (`on_unreadable` 'stop') or is counted, and
    the next one of the order takes its place ('skip'). `workers` processes load the
    training images; None is as many as the machine needs, 0 threads alone.
    """

    source: str
    train_split: str
    evaluation_split: str
    area: tuple[float, float]
    aspect: tuple[float, float]
    data_dir: str | None = None
    on_unreadable: str = 'stop'
    workers: int | None = None

    def __post_init__(self):
        if self.workers is not None and self.workers < 0:
            raise ValueError(
                f'config.data.workers is {self.workers}; expected 0 or more processes, '
                'or None'
            )
        if self.on_unreadable not in ('stop', 'skip'):
            raise ValueError(
                f'config.data.on_unreadable is {self.on_unreadable!r}; use stop or skip'
            )
        check_range('config.data.area', self.area, most=1.0)
        check_range('config.data.aspect', self.aspect)


@dataclasses.dataclass(frozen=True)
class Run:
    """How long a run is and what it leaves behind.

    `batch_size` is the global one. 0 for `diagnose_every_steps` means never, and so it
    does for `checkpoint_every_minutes`, at which one more is saved with the next
    record. Of the checkpoints the last `keep_checkpoints` are kept, and the `keep_best`
    by top-1 error: with these there is one after each evaluation.
    """

    seed: int
    batch_size: int
    epochs: float
    log_every_steps: int
    evaluate_every_epochs: float
    checkpoint_every_epochs: float
    keep_checkpoints: int
    diagnose_every_steps: int
    checkpoint_every_minutes: float = 0.0
    keep_best: int = 0

    MAY_BE_0: ClassVar = (
        'diagnose_every_steps',
        'checkpoint_every_minutes',
        'keep_best',
    )

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise ValueError(f'config.run.seed is {self.seed}; expected 0 to 2**32 - 1')
        for name, value in dataclasses.asdict(self).items():
            if name == 'seed' or (name in self.MAY_BE_0 and value == 0):
                continue
            if not 0 < value < math.inf:
                least = 'at least' if name in self.MAY_BE_0 else 'greater than'
                raise ValueError(
                    f'config.run.{name} is {value}; it must be finite and {least} 0'
                )
