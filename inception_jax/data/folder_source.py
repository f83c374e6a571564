"""Image files in a folder per class."""

import dataclasses
import os
from pathlib import Path

from inception_jax.data.example import Example

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.ppm')


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
    depth; other files are left out.

    Raises:
      ValueError: there is no such folder, or no class or image in it.
    """
    root = Path(path).expanduser() / (split or '')
    if not root.is_dir():
        there = sorted(p.name for p in root.parent.glob('*/')) if split else []
        hint = f'; there are {", ".join(there[:5])} for the splits' if there else ''
        raise ValueError(
            f'{root} is not a folder; folder:{path} reads {root}/CLASS/IMAGE{hint}'
        )
    names = tuple(sorted(entry.name for entry in os.scandir(root) if _is_class(entry)))
    found = [
        (file, label)
        for label, name in enumerate(names)
        for file in _images(root, name)
    ]
    if not found:
        raise ValueError(
            f'{root} has no image in a class folder (of which it has {len(names)}); '
            f'expected {root}/CLASS/IMAGE, names ending in {", ".join(EXTENSIONS)}'
        )
    files, labels = zip(*found, strict=True)
    return Folder(root, files, labels, names)


def _is_class(entry: os.DirEntry) -> bool:
    return entry.is_dir() and not entry.name.startswith('.')


def _images(root: Path, name: str) -> list[str]:
    # os.walk because Path.rglob does not follow links before Python 3.13.
    return sorted(
        Path(folder, file).relative_to(root).as_posix()
        for folder, _, files in os.walk(root / name, followlinks=True)
        for file in files
        if file.lower().endswith(EXTENSIONS) and not file.startswith('.')
    )
