"""The sections of a config that no other folder has a dataclass for.

The metadata of a field says whether it may change when a run resumes: such a field
changes what a run costs or leaves behind, not what it computes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from inception_jax.data.geometry import check_range
from inception_jax.runtime import choices

# Larger numbers are slips of the pen.
LARGEST, LARGEST_BATCH = 10**9, 2**20
MOST_WORKERS, LARGEST_ASPECT = 1024, 1000.0


def _free(**options: Any) -> Any:
    """Returns a dataclass field that may change when a run resumes."""
    return dataclasses.field(metadata={'may_change_on_resume': True}, **options)


@dataclasses.dataclass(frozen=True)
class NetworkSection:
    """The arguments of `networks.catalogue.choose`; None keeps the network's own value.

    `name` is a name of the catalogue or `package.module:NAME`. `width` and `depth`
    multiply filters and blocks, as one number or by stage. `auxiliary` False removes
    the auxiliary head. `rule` is a name of `networks.rules.RULES`. `extra_batch_norm`
    adds the control of section 3.3. The other fields are those of `Network`.
    """

    name: str
    width: float | Mapping[str, float] = 1.0
    depth: float | Mapping[str, float] = 1.0
    auxiliary: bool | None = None
    rule: str | None = None
    extra_batch_norm: bool = False
    classes: int | None = None
    input_size: int | None = None
    crop_fraction: float | None = None
    square_crop: bool | None = None
    interpolation: str | None = None
    pixel_range: tuple[float, float] | None = None
    dropout: float | None = None
    batch_norm_gamma: bool | None = None
    batch_norm_epsilon: float | None = None


@dataclasses.dataclass(frozen=True)
class DataSection:
    """The images of a run, and how much of an image a training crop takes.

    `area` is the range of the crop's share of the image, `aspect` the range of its
    width divided by its height. `data_dir` is the folder of TFDS, None for
    TFDS_DATA_DIR. An unreadable image ends the run (`on_unreadable` 'stop') or is
    counted and replaced by the next image ('skip'). `workers` is the number of
    processes that load training images: None as many as the machine needs, 0 threads
    only.
    """

    source: str
    train_split: str
    evaluation_split: str
    area: tuple[float, float]
    aspect: tuple[float, float]
    data_dir: str | None = _free(default=None)
    on_unreadable: str = _free(default='stop')
    workers: int | None = _free(default=None)

    def __post_init__(self):
        if self.workers is not None and not 0 <= self.workers <= MOST_WORKERS:
            raise ValueError(
                f'config.data.workers is {self.workers}; expected 0 to {MOST_WORKERS} '
                'processes, or None'
            )
        choices.check('config.data.on_unreadable', self.on_unreadable, ('stop', 'skip'))
        check_range('config.data.area', self.area, most=1.0)
        check_range('config.data.aspect', self.aspect, most=LARGEST_ASPECT)


@dataclasses.dataclass(frozen=True)
class RunSection:
    """The length of a run, and what it logs, evaluates and saves.

    `batch_size` is that of the global batch. 0 for `diagnose_every_steps` means never.
    0 for `checkpoint_every_minutes` means never; otherwise a checkpoint is due with the
    first record after so many minutes. The last `keep_checkpoints` checkpoints are
    kept, and the `keep_best` checkpoints with the lowest top-1 error; with `keep_best`
    above 0 each evaluation saves a checkpoint.
    """

    seed: int
    batch_size: int
    epochs: float = _free()
    log_every_steps: int = _free()
    evaluate_every_epochs: float = _free()
    checkpoint_every_epochs: float = _free()
    keep_checkpoints: int = _free()
    diagnose_every_steps: int = _free()
    checkpoint_every_minutes: float = _free(default=0.0)
    keep_best: int = _free(default=0)

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
            if not 0 < value <= LARGEST:
                least = 'at least' if name in self.MAY_BE_0 else 'greater than'
                raise ValueError(
                    f'config.run.{name} is {value}; it must be finite and {least} 0, '
                    f'up to {LARGEST:,}'
                )
        if self.batch_size > LARGEST_BATCH:
            raise ValueError(
                f'config.run.batch_size is {self.batch_size}; expected up to '
                f'{LARGEST_BATCH:,} images'
            )
