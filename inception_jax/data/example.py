"""Examples, and the protocol that every source of images follows."""

import unicodedata
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import numpy as np

from inception_jax.runtime.messages import first_line


class Example(NamedTuple):
    """An image with its label.

    `image` holds the bytes of an image file, or pixels as uint8 [height, width] or
    [height, width, 3]. `label` is in 0 .. classes - 1. `id` names the example in its
    source.
    """

    image: bytes | np.ndarray
    label: int
    id: str


class Unreadable(ValueError):
    """An example cannot be read or decoded; the message names the example."""


class Source(Protocol):
    """A sequence of examples that several threads may read at once."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class, in the order of the labels."""

    @property
    def classes(self) -> int:
        """The number of classes; labels are in 0 .. classes - 1."""

    def listing(self) -> Iterable[tuple[str, str]]:
        """Yields an entry for each image or file: its id with the label, and its size.

        No image is read. `data.content.source_identity` turns the entries into digests.
        """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example: ...


def read_example(source: Source, index: int) -> Example:
    """Reads an example of a source and checks its label.

    A source without classes has no labels to check.

    Raises:
      Unreadable: this example cannot be read, or its label is not a class.
      OSError: reading fails for a reason outside the example, e.g. because too
        many files are open.
    """
    try:
        example = source[index]
    except (FileNotFoundError, PermissionError) as error:
        raise _unreadable(index, error) from error
    except OSError as error:
        error.filename = error.filename or f'example {index} of the data'
        raise
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(index, error) from error
    if source.classes and not 0 <= example.label < source.classes:
        raise Unreadable(
            f'example {example.id} has the label {example.label}; expected 0 to '
            f'{source.classes - 1}'
        )
    return example


def notes(source: Source) -> tuple[str, ...]:
    """Returns the notes of a source for the user, one sentence each."""
    return getattr(source, 'notes', ())


def check_same_classes(first: Source, second: Source) -> None:
    """Raises ValueError unless two splits have the same classes in the same order."""
    if first.class_names == second.class_names:
        return
    different = sorted(set(first.class_names) ^ set(second.class_names))
    composed = {unicodedata.normalize('NFC', name) for name in different}
    form = (
        '; the names differ in their Unicode form (NFC, NFD) only'
        if len(composed) <= len(different) // 2
        else ''
    )
    raise ValueError(
        f'the classes of the two splits differ ({", ".join(different[:3])}, '
        f'{len(different)} in all{form}); both splits need all classes'
    )


def _unreadable(index: int, error: Exception) -> Unreadable:
    return Unreadable(f'cannot read example {index} of the data ({first_line(error)})')
