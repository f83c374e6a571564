"""Probabilities of the images of a source: a value, its file, ensembles and subsets.

A network is applied once. Errors, subsets and ensembles are then computed from files of
probabilities, so that networks never share memory.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from inception_jax.data.content import source_difference
from inception_jax.data.labels import parse_class_names
from inception_jax.evaluation.scores import Scores, scores
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.files import write_atomically
from inception_jax.runtime.json_files import misfit, parse_json
from inception_jax.runtime.messages import warn
from inception_jax.runtime.npz import Damaged, read_npz

FORMAT = 1

# The kinds of dtypes of the arrays in a file: strings, integers, floating point.
KINDS = {'ids': 'U', 'labels': 'iu', 'softmax': 'f', 'about': 'U'}

# The types of metadata that a file may have, beside the names of its classes.
OPTIONAL = {
    'done': int,
    'unreadable': int,
    'images': Mapping,
    'ensemble': list[Mapping],
}

# The distance from 1 that float32 and bfloat16 leave to the sum of a softmax.
ROUNDING = 1e-3


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Probabilities:
    """The mean softmax over the crops of each image, in the order of the source.

    `ids` are strings [images], `labels` int32 [images], `softmax` float32 [images,
    classes]. `metadata` is JSON: the names of the `classes`, and how the probabilities
    were computed (network, source, split, crops).
    """

    ids: np.ndarray
    labels: np.ndarray
    softmax: np.ndarray
    metadata: dict[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(self.metadata['classes'])

    @property
    def scores(self) -> Scores:
        """The top-1 and top-5 error in percent, with 95 % intervals."""
        return scores(self)

    def __repr__(self) -> str:
        images, classes = self.softmax.shape
        sizes = f'{counted(images, "image")}, {counted(classes, "class", "classes")}'
        return f'Probabilities({sizes}, {self._origin})'

    def __str__(self) -> str:
        errors = str(self.scores) if len(self.ids) else 'no images'
        return f'{self._origin}: {errors}'

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Shows a notebook the sizes, and the errors in a second line."""
        printer.text(f'{self!r}\n{self}')

    @property
    def _origin(self) -> str:
        if members := self.metadata.get('ensemble'):
            return f'ensemble of {len(members)}'
        return str(self.metadata.get('network', 'unknown network'))


def save_probabilities(path: Path, probabilities: Probabilities) -> None:
    """Writes an npz file atomically.

    Raises:
      OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as draft, draft.open('wb') as file:
        np.savez(
            file,
            ids=probabilities.ids,
            labels=probabilities.labels,
            softmax=probabilities.softmax,
            about=json.dumps({'format': FORMAT} | probabilities.metadata),
        )


def load_probabilities(path: Path) -> Probabilities:
    """Reads a file that `save_probabilities` wrote.

    The probabilities of an image are NaN if its network had diverged.

    Raises:
      ValueError: the file does not exist, is damaged, or is not such a file.
    """
    path = Path(path)
    try:
        arrays = read_npz(path, KINDS)
        metadata = _parse_metadata(arrays.pop('about'))
        if metadata.pop('format', None) != FORMAT:
            raise ValueError(f'{path} is of another version of inception_jax')
        _check_arrays(**arrays, classes=metadata['classes'])
    except FileNotFoundError as error:
        raise ValueError(f'{path}: there is no such file') from error
    except OSError as error:
        raise ValueError(f'{path} cannot be read ({error.strerror})') from error
    except Damaged as error:
        raise ValueError(
            f'{path} is not a file of probabilities, or is damaged ({error}); make it '
            'with evaluate and its output'
        ) from error
    return Probabilities(
        arrays['ids'],
        arrays['labels'].astype(np.int32),
        arrays['softmax'].astype(np.float32),
        metadata,
    )


def _parse_metadata(encoded: np.ndarray) -> dict[str, Any]:
    """Returns the metadata of a file with its format number."""
    try:
        metadata = parse_json(str(encoded))
        if reason := misfit(metadata, {'classes': list[str]}, OPTIONAL):
            raise ValueError(reason)
        for member in metadata.get('ensemble', ()):
            if reason := misfit(member, {}, OPTIONAL):
                raise ValueError(reason)
        names = parse_class_names(metadata['classes'])
    except ValueError as error:
        raise Damaged(f'the metadata about: {error}') from error
    if len(set(names)) < len(names):
        raise Damaged('two classes have the same name')
    if metadata.get('done', 0) < 0:
        raise Damaged(f'done is {metadata["done"]}')
    return metadata


def _check_arrays(
    ids: np.ndarray, labels: np.ndarray, softmax: np.ndarray, classes: Sequence[str]
) -> None:
    """Raises Damaged unless the arrays can be the result of an evaluation."""
    shape = (ids.size, len(classes))
    if ids.ndim != 1 or labels.shape != ids.shape or softmax.shape != shape:
        raise Damaged(
            f'ids, labels and softmax have the shapes {[*ids.shape]}, '
            f'{[*labels.shape]} and {[*softmax.shape]}, with '
            f'{counted(len(classes), "class", "classes")}'
        )
    if len(np.unique(ids)) < len(ids):
        raise Damaged('two images have the same id')
    wrong = (labels < 0) | (labels >= len(classes))
    if wrong.any():
        raise Damaged(
            f'the label of {ids[wrong][0]} is {labels[wrong][0]}, of '
            f'{counted(len(classes), "class", "classes")}'
        )
    diverged = np.isnan(softmax).all(axis=1)
    with np.errstate(invalid='ignore', over='ignore'):
        in_range = ((softmax >= 0) & (softmax <= 1 + ROUNDING)).all(axis=1)
        whole = np.abs(softmax.sum(axis=1, dtype=np.float64) - 1) <= ROUNDING
    wrong = ~(diverged | (in_range & whole))
    if wrong.any():
        raise Damaged(f'the softmax of {ids[wrong][0]} is not from 0 to 1 with sum 1')


def ensemble(members: Sequence[Probabilities | str | Path]) -> Probabilities:
    """Returns an ensemble: the mean softmax of several networks for each image.

    `members` are probabilities of the same images, or paths of their files.

    Raises:
      ValueError: the members have different images, labels or classes, or a file cannot
        be read.

    >>> ids, labels = np.array(['a', 'b']), np.array([0, 1])
    >>> metadata = {'classes': ['ant', 'bee'], 'network': 'tiny'}
    >>> first, second = (
    ...     Probabilities(ids, labels, np.array(softmax, np.float32), metadata)
    ...     for softmax in ([[0.5, 0.5], [0.5, 0.5]], [[1, 0], [0, 1]])
    ... )
    >>> ensemble([first, second])
    Probabilities(2 images, 2 classes, ensemble of 2)
    >>> ensemble([first, second]).softmax
    array([[0.75, 0.25],
           [0.25, 0.75]], dtype=float32)
    """
    members = [
        member if isinstance(member, Probabilities) else load_probabilities(member)
        for member in members
    ]
    check_same_images(members)
    _check_finite(members)
    total = np.sum([member.softmax for member in members], axis=0, dtype=np.float64)
    metadata = {
        'classes': members[0].metadata['classes'],
        'ensemble': [
            {name: value for name, value in m.metadata.items() if name != 'classes'}
            for m in members
        ],
    }
    return dataclasses.replace(
        members[0],
        softmax=(total / len(members)).astype(np.float32),
        metadata=metadata,
    )


def check_same_images(members: Sequence[Probabilities]) -> None:
    """Raises ValueError unless all have the same images, labels and classes."""
    first, *others = members
    for number, other in enumerate(others, 2):
        for name in ('ids', 'labels'):
            if not np.array_equal(getattr(first, name), getattr(other, name)):
                raise ValueError(
                    f'the first file and file {number} have different {name} '
                    f'({_count_images(first)}; {_count_images(other)}); expected the '
                    'same images'
                )
        before, now = map(_source_identity, (first, other))
        if before and now and (difference := source_difference(before, now)):
            raise ValueError(
                f'the first file and file {number} are of different images '
                f'({difference}); expected the same images'
            )
        if first.class_names != other.class_names:
            raise ValueError(
                'the first file has '
                f'{counted(len(first.class_names), "class", "classes")}, and file '
                f'{number} has {len(other.class_names)}, with different names; '
                'expected the same classes'
            )


def _source_identity(probabilities: Probabilities) -> Mapping[str, Any] | None:
    """Returns the identity of the images; None in a file of an older version."""
    members = probabilities.metadata.get('ensemble') or [probabilities.metadata]
    return members[0].get('images')


def _check_finite(members: Sequence[Probabilities]) -> None:
    """Raises ValueError for a diverged member: the mean would be NaN as well."""
    for number, member in enumerate(members, 1):
        nan = np.isnan(member.softmax).any(axis=1)
        if nan.any():
            images = f'{counted(nan.sum(), "image")}, e.g. {member.ids[nan][0]}'
            raise ValueError(
                f'file {number} has no probabilities for {images}: its network had '
                'diverged; leave it out of the ensemble'
            )


def _count_images(probabilities: Probabilities) -> str:
    ids = probabilities.ids
    first = f', the first {ids[0]}' if len(ids) else ''
    return f'{counted(len(ids), "image")}{first}'


def without_images(
    probabilities: Probabilities, excluded: Sequence[str]
) -> Probabilities:
    """Returns the probabilities without some images.

    `excluded` are ids, or all of them numbers of files: the numbers at the end of the
    names, counted from 1 in ImageNet, as in ILSVRC2012_val_00000001.JPEG and in
    ImageNet's list of images to leave out.

    Raises:
      ValueError: more of the excluded images are missing than could not be read, or the
        ids have no distinct numbers.
    """
    names = probabilities.ids.tolist()
    if all(name.isdigit() for name in excluded) and not set(excluded) <= set(names):
        names, excluded = _file_numbers(names), [int(name) for name in excluded]
    missing = sorted(set(excluded) - set(names))
    # An image that cannot be read has no row, and may be excluded all the same.
    members = probabilities.metadata.get('ensemble') or [probabilities.metadata]
    unreadable = members[0].get('unreadable', 0)
    if len(missing) > unreadable:
        raise ValueError(
            f'{len(missing):,} of {counted(len(excluded), "image")} to leave out '
            f'cannot be found, e.g. {missing[0]}; the images have ids such as '
            f'{probabilities.ids[0]}'
        )
    if missing:
        warn(
            f'{counted(len(missing), "image")} to leave out without probabilities, '
            f'e.g. {missing[0]}; {counted(unreadable, "image")} could not be read'
        )
    kept = ~np.isin(np.array(names), np.array(excluded))
    return dataclasses.replace(
        probabilities,
        **{name: getattr(probabilities, name)[kept] for name in ARRAYS},
    )


ARRAYS = ('ids', 'labels', 'softmax')


def _file_numbers(ids: list[str]) -> list[int]:
    endings = [re.search(r'(\d+)(\.\w+)?$', name) for name in ids]
    numbers = [int(ending[1]) if ending else 0 for ending in endings]
    if len(set(numbers)) < len(numbers):
        raise ValueError(
            f'the images to leave out are numbers, and ids such as {ids[0]} do not end '
            'in distinct numbers; name the images by id'
        )
    return numbers


def join_parts(
    parts: Sequence[Probabilities], metadata: dict[str, Any]
) -> Probabilities:
    """Concatenates the images of consecutive parts of an evaluation."""
    arrays = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS
    )
    return Probabilities(*arrays, metadata)
