"""Image files without labels, given as files or as folders."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

from inception_jax.data.decode import EXTENSIONS
from inception_jax.data.example import Example
from inception_jax.data.sources.image_files import file_size, images_below


@dataclasses.dataclass(frozen=True)
class Files:
    """A source of image files: the id of an example is its path, all labels are 0."""

    ids: tuple[str, ...]
    class_names: tuple[str, ...]

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def listing(self) -> Iterator[tuple[str, str]]:
        return ((path, str(file_size(Path(path)))) for path in self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Example:
        path = self.ids[index]
        return Example(Path(path).read_bytes(), 0, path)


def find_image_files(paths: Iterable[Path]) -> list[str]:
    """Returns the files among the paths, and the image files below the folders.

    The files of a folder are sorted by name. A duplicate path is listed once.

    Raises:
      ValueError: a path does not exist, or a folder cannot be read or has no image
        file.
    """
    files = (str(file) for path in paths for file in _files(path))
    return list(dict.fromkeys(files))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        images = images_below(path).names
        if not images:
            raise ValueError(
                f'{path} has no image files; expected names ending in '
                f'{", ".join(EXTENSIONS)}'
            )
        yield from (path / name for name in images)
    elif path.is_file():
        yield path
    elif path.exists():
        raise ValueError(f'{path} is neither a file nor a folder')
    else:
        raise ValueError(f'{path}: there is no such file or folder')
