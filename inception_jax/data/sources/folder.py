"""Image files in one folder per class, or in one folder with a file of labels."""

import dataclasses
import os
from pathlib import Path

from inception_jax.data.decode import EXTENSIONS
from inception_jax.data.example import Example
from inception_jax.data.sources.flat_labels import label_file, read_labels


@dataclasses.dataclass(frozen=True)
class Folder:
    """Image files below `root`; the id of an example is its path relative to `root`."""

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
    """Opens the images in path/split/CLASS/, or in path/CLASS/ without a split.

    Classes are numbered in the order of their names. Images may lie at any depth below
    a class; other files are ignored. If a split has no class folders, its images are in
    path/split/ and their labels in path/split.txt or path/split.csv (`read_labels`).
    Its classes are then those of the split `train`, or else of the first split that has
    class folders.

    Raises:
      ValueError: the folder does not exist, it has no class or no image, or an image
        has no label.
    """
    root = Path(path).expanduser() / (split or '')
    if not root.is_dir():
        splits = sorted(child.name for child in root.parent.glob('*/')) if split else []
        hint = f'; the splits are {", ".join(splits[:5])}' if splits else ''
        raise ValueError(
            f'{root} is not a folder; folder:{path} reads {root}/CLASS/IMAGE{hint}'
        )
    names = _class_folders(root)
    if split and not names and (labels := label_file(root)):
        return _open_flat(root, labels)
    labelled = [
        (file, label)
        for label, name in enumerate(names)
        for file in images_below(root, name)
    ]
    if not labelled:
        raise ValueError(
            f'{root} has no image in a class folder (class folders: {len(names)}); '
            f'expected {root}/CLASS/IMAGE, names ending in {", ".join(EXTENSIONS)}, '
            f'or labels in {root}.txt'
        )
    files, numbers = zip(*labelled, strict=True)
    return Folder(root, files, numbers, names)


def _open_flat(root: Path, labels: Path) -> Folder:
    files = tuple(images_below(root))
    splits = sorted(
        root.parent.glob('*/'), key=lambda split: (split.name != 'train', split.name)
    )
    names = next(filter(None, map(_class_folders, splits)), ())
    if not (names and files):
        raise ValueError(
            f'{root} has {len(files):,} images, and the folders beside it '
            f'{len(names):,} classes; with {labels} expected {root}/IMAGE and '
            f'{root.parent}/train/CLASS/IMAGE'
        )
    return Folder(root, files, tuple(read_labels(labels, files, names)), names)


def _class_folders(root: Path) -> tuple[str, ...]:
    """Returns the names of the class folders of a split in order."""
    return tuple(sorted(entry.name for entry in os.scandir(root) if _is_class(entry)))


def _is_class(entry: os.DirEntry) -> bool:
    return entry.is_dir() and not entry.name.startswith('.')


def images_below(root: Path, name: str = '') -> list[str]:
    """Lists the image files below root/name at any depth, as paths relative to root.

    The paths are sorted, so that they do not depend on the file system.
    """
    # Path.rglob does not follow links before Python 3.13; os.walk does.
    return sorted(
        Path(folder, file).relative_to(root).as_posix()
        for folder, _, files in os.walk(root / name, followlinks=True)
        for file in files
        if file.lower().endswith(EXTENSIONS) and not file.startswith('.')
    )
