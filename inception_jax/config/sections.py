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

    Attributes:
      name: the network: a name that `describe` knows, or the import path
        `package.module:NAME` of your own network.
      width: the factor on the filters of all stages, or factors by stage.
      depth: the factor on the number of blocks of all stages, or factors by stage.
      auxiliary: False removes the auxiliary head; True fails if the network has none.
      rule: the rule for residual branches: constant, skip_init, learned_scale,
        layer_scale, zero_init, inverse_sqrt, normalizer_free or non_residual. None
        keeps the residual scales of the paper.
      extra_batch_norm: whether the last residual sum gets a batch norm, the control of
        section 3.3.
      classes: the number of classes. None takes the number of classes of the data.
      input_size: the height and width of the input, in pixels.
      crop_fraction: the central share of each side that evaluation keeps, above 0 and
        up to 1.
      square_crop: whether evaluation crops a square whose side is `crop_fraction` of
        the image's shorter side.
      interpolation: how evaluation resizes an image: bilinear, float_bilinear,
        smooth_bilinear or smooth_bicubic.
      pixel_range: the values of a black and of a white pixel in the input.
      dropout: the share of the final features that is dropped in training, from 0 to
        below 1.
      batch_norm_gamma: whether batch norm scales its output, or only shifts it.
      batch_norm_epsilon: the number that batch norm adds to the variance, above 0.
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

    Attributes:
      source: the data set: digits, folder:PATH, tfds:NAME or synthetic.
      train_split: the split to train on, or a part of it, e.g. train[:80%].
      evaluation_split: the split to evaluate on, or a part of it, e.g. train[80%:].
      area: the range of a training crop's share of the image, above 0 and up to 1.
      aspect: the range of a training crop's width divided by its height.
      data_dir: the folder of TFDS data sets. None takes the environment variable
        TFDS_DATA_DIR, or ~/tensorflow_datasets without it.
      on_unreadable: stop ends the run at an image that cannot be read; skip counts the
        image and replaces it by the next image.
      workers: the number of processes that load training images. None lets the machine
        decide, and 0 uses threads only.
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

    Attributes:
      seed: the seed of initial values, order of images, augmentation and dropout.
      batch_size: the number of images in a batch over all devices.
      epochs: the length of the run, in epochs.
      log_every_steps: the number of steps between two training records.
      evaluate_every_epochs: the number of epochs between two evaluations.
      checkpoint_every_epochs: the number of epochs between two checkpoints.
      keep_checkpoints: the number of newest checkpoints to keep.
      diagnose_every_steps: the number of steps between two diagnostics of all blocks;
        0 for never.
      diagnose_first_steps: the number of first steps that all have diagnostics, unless
        `diagnose_every_steps` is 0. A network that dies often does so in these steps.
      checkpoint_every_minutes: the number of minutes after which the next training
        record also saves a checkpoint; 0 for never.
      keep_best: the number of checkpoints with the lowest top-1 error to keep. Above 0,
        each evaluation saves a checkpoint.
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
    diagnose_first_steps: int = _free(default=20)

    MAY_BE_0: ClassVar = (
        'diagnose_every_steps',
        'diagnose_first_steps',
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
