"""Image files in one folder per class, or in one folder with a label file."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from inception_jax.data.decode import EXTENSIONS
from inception_jax.data.example import Example
from inception_jax.data.sources.flat_labels import label_file, normal, read_labels
from inception_jax.data.sources.image_files import (
    enclosing_folders,
    entry_kind,
    file_size,
    folder_identity,
    ignored_note,
    images_below,
    utf8_name,
    visible_entries,
)
from inception_jax.data.sources.part import parse_part, part_indices
from inception_jax.runtime.amounts import counted
from inception_jax.runtime.choices import nearest
from inception_jax.runtime.paths import local_path

# Folders of these names are probably splits and not classes.
SPLIT_NAMES = frozenset({'train', 'val', 'valid', 'validation', 'test'})


@dataclasses.dataclass(frozen=True)
class Folder:
    """Image files below `root`; the id of an example is its path relative to `root`.

    `ignored` counts the ignored files by extension or kind.
    """

    root: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]
    ignored: tuple[tuple[str, int], ...] = ()

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def listing(self) -> Iterator[tuple[str, str]]:
        for name, label in zip(self.files, self.labels, strict=True):
            yield f'{utf8_name(name)} {label}', str(file_size(self.root / name))

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on ignored files and on the order of the classes, one sentence each."""
        ignored = ignored_note(self.root, dict(self.ignored))
        return tuple(filter(None, (ignored, self._split_note(), self._order_note())))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Example:
        name = self.files[index]
        image = (self.root / name).read_bytes()
        return Example(image, self.labels[index], utf8_name(name))

    def _split_note(self) -> str:
        names = self.class_names
        if not SPLIT_NAMES.issuperset(names):
            return ''
        if not any(_folders(self.root / name) for name in names):
            return ''
        return (
            f'{self.root}: the class folders have the names of splits '
            f'({", ".join(names)}); name a split to read the classes inside it, '
            f'e.g. --split {names[0]}'
        )

    def _order_note(self) -> str:
        names = self.class_names
        if not all(name.isdecimal() for name in names):
            return ''
        label = next((n for n, name in enumerate(names) if int(name) != n), None)
        if label is None or list(names) == sorted(names, key=int):
            return ''
        return (
            f'{self.root}: the class folders are numbers that are sorted as text: '
            f'folder {names[label]} is class {label}; pad the numbers with zeros '
            '(0002) to sort them by value'
        )


def open_folder(path: str, split: str | None) -> Folder:
    """Opens the images in path/split/CLASS/, or in path/CLASS/ without a split.

    Classes are numbered in the sorted order of their names. Images may be at any depth
    below a class folder. Hidden folders and system folders are skipped. Files that are
    not images are counted in `ignored`. Links are followed as in `images_below`.

    If a split has no class folders, the images are read from path/split/ and the labels
    from path/split.txt or path/split.csv (`read_labels`). The classes are then taken
    from the split `train`, or else from the first split with class folders.

    A split may be a part of a folder, such as train[:80%] (`part_indices`).

    Raises:
      ValueError: the folder does not exist or cannot be read, it has no class or no
        image, an image has no label, or the part is empty.
    """
    top = local_path(path).expanduser()
    part = parse_part(split or '')
    if part is None or (top / split).is_dir():
        return _open_split(top, split)
    source = _open_split(top, part.name or None)
    indices = part_indices(part, source.labels)
    return dataclasses.replace(
        source,
        files=tuple(source.files[index] for index in indices),
        labels=tuple(source.labels[index] for index in indices),
    )


def _open_split(top: Path, split: str | None) -> Folder:
    root = top / (split or '')
    if not top.exists():
        beside = _folders(top.parent) if top.parent.is_dir() else ()
        near = nearest(top.name, beside)
        advice = 'name an existing folder as folder:PATH'
        if near:
            advice = f'did you mean folder:{top.with_name(near)}?'
        raise ValueError(f'{top} does not exist; {advice}')
    if not root.is_dir():
        splits = sorted(_folders(top)) if split and top.is_dir() else []
        hint = f'; the splits are {", ".join(splits[:5])}' if splits else ''
        raise ValueError(
            f'{root} is not a folder; folder:{top} reads {root}/CLASS/IMAGE{hint}'
        )
    classes = _class_folders(root)
    if split and not classes and (labels := label_file(root)):
        return _open_flat(root, labels)
    outside = frozenset(map(folder_identity, classes.values()))
    labelled, ignored = [], _outside_classes(root)
    for label, folder in enumerate(classes.values()):
        images = images_below(folder, outside)
        labelled += [(f'{folder.name}/{image}', label) for image in images.names]
        ignored += images.ignored
    if not labelled:
        raise ValueError(
            f'{root} has no image in a class folder (class folders: {len(classes)}); '
            f'expected {root}/CLASS/IMAGE, names ending in {", ".join(EXTENSIONS)}, '
            f'or labels in {root}.txt'
        )
    files, numbers = zip(*labelled, strict=True)
    return Folder(root, files, numbers, tuple(classes), tuple(ignored.items()))


def _outside_classes(root: Path) -> Counter[str]:
    """Counts the files of a split that lie in no class folder, by kind."""
    kinds = Counter(map(entry_kind, visible_entries(root)))
    del kinds['folder']
    return Counter(
        {
            'image in no class folder' if kind == 'image' else kind: count
            for kind, count in kinds.items()
        }
    )


def _open_flat(root: Path, labels: Path) -> Folder:
    images = images_below(root)
    files = tuple(images.names)
    splits = sorted(
        _folders(root.parent).values(),
        key=lambda split: (split.name != 'train', split.name),
    )
    names = next(filter(None, map(tuple, map(_class_folders, splits))), ())
    if not (names and files):
        raise ValueError(
            f'{root} has {counted(len(files), "image")}, and the folders beside it '
            f'have {counted(len(names), "class", "classes")}; with {labels} expected '
            f'{root}/IMAGE and {root.parent}/train/CLASS/IMAGE'
        )
    numbers = tuple(read_labels(labels, files, names))
    return Folder(root, files, numbers, names, tuple(images.ignored.items()))


def _class_folders(root: Path) -> dict[str, Path]:
    """Returns the class folders of a split by name, sorted by name.

    Raises:
      ValueError: two class folders are the same folder, or have names that differ only
        in their Unicode form.
    """
    above = enclosing_folders(root)
    folders = {
        name: folder
        for name, folder in _folders(root).items()
        if folder_identity(folder) not in above
    }
    for reason, keys in (
        ('are the same folder', map(folder_identity, folders.values())),
        ('have names that differ only in their Unicode form', map(normal, folders)),
    ):
        if pair := _first_duplicate(zip(keys, folders, strict=True)):
            raise ValueError(
                f'the class folders {pair[0]!r} and {pair[1]!r} of {root} {reason}; '
                'expected a folder for each class'
            )
    return folders


def _folders(folder: Path) -> dict[str, Path]:
    """Returns the visible folders in a folder by name, sorted by name."""
    entries = visible_entries(folder)
    names = sorted(entry.name for entry in entries if entry_kind(entry) == 'folder')
    return {utf8_name(name): folder / name for name in names}


def _first_duplicate(pairs: Iterable[tuple]) -> tuple[str, str] | None:
    """Returns the first two names that have the same key."""
    first = {}
    for key, name in pairs:
        if key in first:
            return first[key], name
        first[key] = name
    return None
