"""TFDS data sets in ArrayRecord format, read without TensorFlow."""

import contextlib
import dataclasses
import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inception_jax.data.example import Example
from inception_jax.runtime.messages import first_line
from inception_jax.runtime.open_files import allow_open_files

# ArrayRecord reports a system error only as text. None of these errors means that a
# record is damaged.
SYSTEM_ERRORS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.ESTALE)
# The label that TFDS gives to an example without a label.
NO_LABEL = -1
# The number of records that are read to check whether a split has labels.
LABELS_READ = 16
VERSION = re.compile(r'\d+\.\d+\.\d+')


@dataclasses.dataclass(frozen=True)
class Tfds:
    """The records of a split.

    The id of an example is the record's file name or id, or else the name of the split
    with the index. `files` hold the records.
    """

    name: str
    files: tuple[Path, ...]
    records: Sequence[dict[str, Any]]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def listing(self) -> Iterator[tuple[str, str]]:
        yield self.name, ''
        for file in self.files:
            yield file.name, str(file.stat().st_size)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        try:
            record = self.records[index]
        except RuntimeError as error:
            raise _system_error(error) or error from None
        name = record.get('file_name', record.get('id', f'{self.name}/{index}'))
        if isinstance(name, bytes):
            name = name.decode(errors='replace')
        return Example(record['image'], int(record['label']), str(name))


def _system_error(error: RuntimeError) -> OSError | None:
    """Returns the system error that an error of ArrayRecord reports, or None."""
    for number in SYSTEM_ERRORS:
        if os.strerror(number) in str(error):
            return OSError(number, first_line(error))
    return None


def open_tfds(name: str, split: str | None, *, data_dir: str | None) -> Tfds:
    """Opens a split of NAME[/CONFIG][/VERSION] in a folder that TFDS has written.

    Raises:
      ValueError: the data set or the split does not exist, has no feature `image` or
        `label`, has no labels, or is not in ArrayRecord format.
    """
    # Importing TFDS takes half a second, and other sources do not need it.
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(_folder(name, data_dir))
    _check_format(builder.info)
    label = _label(builder.info)
    files = _files(builder.info, split)
    allow_open_files(len(files))
    records = builder.as_data_source(
        split,
        decoders={'image': tfds.decode.SkipDecoding()},
        file_format='array_record',
    )
    source = Tfds(f'{builder.info.name}/{split}', files, records, tuple(label.names))
    if _has_no_labels(source):
        raise ValueError(
            f'{builder.info.full_name} has no labels in split {split!r}: all labels '
            f'are {NO_LABEL}; use a split with labels; the splits are '
            f'{", ".join(builder.info.splits)}'
        )
    return source


def _has_no_labels(source: Tfds) -> bool:
    """Returns whether all of some examples, spread over the split, have no label."""
    count = len(source)
    places = {place * count // LABELS_READ for place in range(LABELS_READ)}
    with contextlib.suppress(RuntimeError, OSError):  # Later reads report it.
        return all(source[place].label == NO_LABEL for place in sorted(places))
    return False


def _folder(name: str, data_dir: str | None) -> Path:
    default = os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets'
    data_dir = data_dir or default
    if '://' in data_dir:
        raise ValueError(
            f'{data_dir} is a bucket, but records are read from local folders; mount '
            'it as a folder (docs/imagenet.md) and name the folder'
        )
    root = Path(data_dir).expanduser()
    folder = root.joinpath(*re.split('[/:]', name))
    if not VERSION.fullmatch(folder.name):
        versions = [
            path.name for path in folder.glob('*') if VERSION.fullmatch(path.name)
        ]
        folder = folder / max(versions, key=_numbers, default='VERSION')
    if (folder / 'dataset_info.json').is_file():
        return folder
    prepared = sorted(
        path.parent.relative_to(root).as_posix()
        for depth in ('*/*', '*/*/*')
        for path in root.glob(f'{depth}/dataset_info.json')
    )
    raise ValueError(
        f'tfds:{name} is not in {root}, which has {", ".join(prepared) or "no data"}; '
        'name a data set of this folder, or set data_dir or TFDS_DATA_DIR'
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split('.')))


def _check_format(info) -> None:
    formats = sorted(format.value for format in info.available_file_formats())
    if 'array_record' not in formats:
        # The command has no --out_dir, because TFDS 4.9.10 then writes no metadata.
        raise ValueError(
            f'{info.data_dir} is in {" and ".join(formats) or "no"} format; expected '
            'array_record. To convert it, install tensorflow and apache-beam, then run '
            'python -m tensorflow_datasets.scripts.convert_format '
            f'--dataset_version_dir={info.data_dir} --out_file_format=array_record'
        )


def _label(info):
    """Returns the feature `label` of a data set of labelled images."""
    features = dict(info.features or {})
    if 'image' not in features or not hasattr(features.get('label'), 'num_classes'):
        raise ValueError(
            f'{info.full_name} has the features {", ".join(features) or "(none)"}; '
            'expected the feature image and a ClassLabel as the feature label'
        )
    return features['label']


def _files(info, split: str | None) -> tuple[Path, ...]:
    """Returns the files of a split.

    Raises:
      ValueError: there is no such split, it is empty, or a file is missing.
    """
    try:
        files = info.splits[str(split)].file_instructions
    except (KeyError, ValueError) as error:
        problem = (
            f'has no split {split!r}; its splits are' if split else 'needs a split:'
        )
        raise ValueError(
            f'{info.full_name} {problem} {", ".join(info.splits)}, or parts of splits '
            f'such as {next(iter(info.splits))}[:10%]'
        ) from error
    missing = [file.filename for file in files if not os.path.exists(file.filename)]
    if missing or not files:
        raise ValueError(
            f'{info.full_name} has no examples in split {split!r}: '
            f'{missing[0] + " is missing" if missing else "it is empty"}'
        )
    return tuple(Path(file.filename) for file in files)
