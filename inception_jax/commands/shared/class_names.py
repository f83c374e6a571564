"""Names of classes in a text file, one a line."""

from pathlib import Path


def load_class_names(option: str, path: Path | None) -> list[str] | None:
    """Returns the names in the file of an option, None without one.

    Raises:
      ValueError: it cannot be read.
    """
    if path is None:
        return None
    try:
        names = path.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f'{option} {path} cannot be read; name a text file with a class a line'
        ) from error
    return [name.strip() for name in names if name.strip()]


def load_distinct_class_names(option: str, path: Path | None) -> list[str] | None:
    """Returns names of which no two are the same.

    Raises:
      ValueError: two are, or the file cannot be read.
    """
    names = load_class_names(option, path) or []
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f'{option} {path} names {twice} twice; classes are different, and predict '
            '--names shows any names'
        )
    return None if path is None else names
