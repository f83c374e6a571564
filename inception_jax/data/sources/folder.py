"""Image files in a folder per class, or in one with a file of labels beside it."""

import dataclasses
import os
from pathlib import Path

from inception_jax.data.example import Example
from inception_jax.data.sources.flat_labels import EXTENSIONS, label_file, read_labels


@dataclasses.dataclass(frozen=True)
class Folder:
    """Files below `root`; an example's id is its path from there."""

    root: Path
    files: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Example:
        name = self.files[index]
        return Example((self.root / name).read_bytes(), self.labels[index], name)


def open_folder(path: str, split: str | None) -> Folder:
    """Lists the images in path/split/CLASS/, without a split those in path/CLASS/.

    Classes are numbered in the order of their names. Below a class images lie at any
    depth; other files are left out. Of a split without folders the images are in
    path/split/ itself and their labels in path/split.txt or .csv (`read_labels`); the
    classes are those of `train` beside it, or of the first split that has some.

    Raises:
      ValueError: there is no such folder, no class or image in it, or no label for an
        image.
    """
    root = Path(path).expanduser() / (split or '')
    if not root.is_dir():
        there = sorted(p.name for p in root.parent.glob('*/')) if split else []
        hint = f'; there are {", ".join(there[:5])} for the splits' if there else ''
        raise ValueError(
            f'{root} is not a folder; folder:{path} reads {root}/CLASS/IMAGE{hint}'
        )
    names = _classes(root)
    if split and not names and (labels := label_file(root)):
        return _open_flat(root, labels)
    found = [
        (file, label)
        for label, name in enumerate(names)
        for file in images_below(root, name)
    ]
    if not found:
        raise ValueError(
            f'{root} has no image in a class folder (of which it has {len(names)}); '
            f'expected {root}/CLASS/IMAGE, names ending in {", ".join(EXTENSIONS)}, '
            f'or labels in {root}.txt'
        )
    files, numbers = zip(*found, strict=True)
    return Folder(root, files, numbers, names)


def _open_flat(root: Path, labels: Path) -> Folder:
    files = tuple(images_below(root))
    beside = sorted(root.parent.glob('*/'), key=lambda p: (p.name != 'train', p.name))
    names = next(filter(None, map(_classes, beside)), ())
    if not (names and files):
        raise ValueError(
            f'{root} has {len(files):,} images, and the folders beside it '
            f'{len(names):,} classes; with {labels} expected {root}/IMAGE and '
            f'{root.parent}/train/CLASS/IMAGE'
        )
    return Folder(root, files, tuple(read_labels(labels, files, names)), names)


def _classes(root: Path) -> tuple[str, ...]:
    """Returns the folders of a split in the order of their names."""
    return tuple(sorted(entry.name for entry in os.scandir(root) if _is_class(entry)))


def _is_class(entry: os.DirEntry) -> bool:
    return entry.is_dir() and not entry.name.startswith('.')


def images_below(root: Path, name: str = '') -> list[str]:
    """Lists the image files below root/name at any depth, by their paths from root."""
    # os.walk because Path.rglob does not follow links before Python 3.13.
    return sorted(
        Path(folder, file).relative_to(root).as_posix()
        for folder, _, files in os.walk(root / name, followlinks=True)
        for file in files
        if file.lower().endswith(EXTENSIONS) and not file.startswith('.')
    )
